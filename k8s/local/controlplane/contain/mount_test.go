package contain

import (
	"reflect"
	"testing"
)

func TestMountsBelowKeepsTheOutermost(t *testing.T) {
	info := `21 1 8:1 / / rw - ext4 /dev/sda rw
30 21 0:5 / /etc/my\040hosts rw - tmpfs tmpfs rw
31 21 0:6 / /etc/deep rw - tmpfs tmpfs rw
32 31 0:7 / /etc/deep/er rw - tmpfs tmpfs rw
33 21 0:8 / /etcetera rw - tmpfs tmpfs rw
34 21 0:9 / /etc rw - tmpfs tmpfs rw
`
	want := []string{"/etc/my hosts", "/etc/deep"}
	if got := mountsBelow(info, "/etc"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
}
