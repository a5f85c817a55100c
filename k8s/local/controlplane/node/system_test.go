package node

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPrivateOSNeverTouchesTheHostsLogs(t *testing.T) {
	o := privateOS{logs: filepath.Join(t.TempDir(), "links")}
	if err := o.MkdirAll(hostLogs, 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(hostLogs, "sluice-test.log")
	if err := o.Symlink("/nowhere", link); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(link); !os.IsNotExist(err) {
		t.Error("the link is on the host")
	}
	found, err := o.Glob(filepath.Join(hostLogs, "*.log"))
	if err != nil || len(found) != 1 {
		t.Errorf("%v %v", found, err)
	}
	if err := o.Remove(link); err != nil {
		t.Error(err)
	}
	if got := o.own("/var/log/containersother"); got != "/var/log/containersother" {
		t.Errorf("%s is another folder", got)
	}
}
