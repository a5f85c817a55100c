package pki

import (
	"crypto/x509"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

var now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func cluster(t *testing.T) Cluster {
	t.Helper()
	return Cluster{Dir: filepath.Join(t.TempDir(), "pki"), NodeName: "n1", Port: 6443,
		NodeIP: netip.MustParseAddr("10.244.0.1"), ServiceIP: netip.MustParseAddr("10.96.0.1")}
}

func ensure(t *testing.T, c Cluster, at time.Time) map[string]string {
	t.Helper()
	if err := c.Ensure(at); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		data, err := os.ReadFile(filepath.Join(c.Dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[entry.Name()] = string(data)
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		secret := strings.HasSuffix(entry.Name(), ".key") || strings.HasSuffix(entry.Name(), ".kubeconfig")
		if secret && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", entry.Name(), info.Mode())
		}
	}
	return files
}

func changed(before, after map[string]string) []string {
	var names []string
	for name := range after {
		if before[name] != after[name] {
			names = append(names, name)
		}
	}
	return names
}

func TestASecondRunChangesNothing(t *testing.T) {
	c := cluster(t)
	first := ensure(t, c, now)
	if names := changed(first, ensure(t, c, now.Add(24*time.Hour))); len(names) != 0 {
		t.Errorf("changed: %v", names)
	}
	if len(first) != 2*8+2+5 {
		t.Errorf("%d files", len(first))
	}
}

func TestCertificatesSayWhoTheyAreFor(t *testing.T) {
	c := cluster(t)
	ensure(t, c, now)
	ca, err := load(c.path("ca"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	server, err := load(c.path("apiserver"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"10.244.0.1", "10.96.0.1", "localhost", "kubernetes.default.svc"} {
		if _, err := server.certificate.Verify(x509.VerifyOptions{DNSName: name, Roots: roots,
			CurrentTime: now}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	node, err := load(c.path("node"))
	if err != nil || node.certificate.Subject.CommonName != "system:node:n1" ||
		node.certificate.Subject.Organization[0] != "system:nodes" {
		t.Errorf("%+v %v", node, err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.path("admin.kubeconfig"))
	if err != nil || config.Host != "https://10.244.0.1:6443" || len(config.KeyData) == 0 {
		t.Errorf("%+v %v", config, err)
	}
}

func TestWhatIsWrongIsMadeAnew(t *testing.T) {
	c := cluster(t)
	first := ensure(t, c, now)
	if err := os.WriteFile(c.path("scheduler.key"), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	second := ensure(t, c, now)
	if names := changed(first, second); len(names) != 3 {
		t.Errorf("only the scheduler's files should change, not %v", names)
	}
	c.NodeName = "n2"
	if names := changed(second, ensure(t, c, now)); len(names) != 3 {
		t.Errorf("only the node's files should change, not %v", names)
	}
	late := ensure(t, c, now.Add(certificateLife-renewal/2))
	if late["apiserver.crt"] == second["apiserver.crt"] || late["ca.crt"] != second["ca.crt"] {
		t.Error("an old certificate should be renewed, by the same authority")
	}
	if late["sa.key"] != first["sa.key"] {
		t.Error("tokens must stay valid")
	}
}
