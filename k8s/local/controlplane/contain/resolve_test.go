package contain

import (
	"os"
	"path/filepath"
	"testing"
)

func TestResolveStaysInsideTheRoot(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"run", "var", "etc/real"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for at, to := range map[string]string{
		"var/run": "/run", "escape": "../../../../etc", "etc/link": "real", "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(root, at)); err != nil {
			t.Fatal(err)
		}
	}
	cases := []struct{ path, full, existing string }{
		{"/var/run/secrets/token", "run/secrets/token", "run"},
		{"/escape/real", "etc/real", "etc/real"},
		{"/etc/link/../new", "etc/new", "etc"},
		{"/../../run", "run", "run"},
		{"/images", "images", ""},
		{"/", "", ""},
	}
	for _, c := range cases {
		full, existing, err := resolve(root, c.path)
		if err != nil {
			t.Fatalf("%s: %v", c.path, err)
		}
		if full != filepath.Join(root, c.full) || existing != filepath.Join(root, c.existing) {
			t.Errorf("%s: got %s and %s", c.path, full, existing)
		}
	}
	if _, _, err := resolve(root, "/loop/x"); err == nil {
		t.Error("a link to itself must be an error")
	}
}

func TestWithinComparesWholeNames(t *testing.T) {
	for _, c := range []struct {
		path, folder string
		want         bool
	}{{"/tmp/a", "/tmp", true}, {"/tmp", "/tmp", true}, {"/tmpfoo", "/tmp", false}, {"/x", "/", true}} {
		if got := within(c.path, c.folder); got != c.want {
			t.Errorf("within(%s, %s) = %v", c.path, c.folder, got)
		}
	}
}
