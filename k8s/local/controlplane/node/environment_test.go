package node

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestBaseEnvironmentLeaksNothing(t *testing.T) {
	node := map[string]string{"PATH": "/usr/bin", "SECRET": "x", "LANG": "C.UTF-8", "HOME": "/root"}
	lookup := func(name string) (string, bool) { v, ok := node[name]; return v, ok }
	got := baseEnvironment([]string{"/venv/bin"}, lookup)
	want := []string{"PATH=/venv/bin:/usr/bin", "HOME=/tmp", "LANG=C.UTF-8"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	delete(node, "PATH")
	if got := baseEnvironment(nil, lookup); got[0] != "PATH="+usualPath {
		t.Errorf("got %q", got)
	}
}

func TestKeptFoldersFollowTheVirtualEnvironment(t *testing.T) {
	top := resolved(t.TempDir())
	at := func(parts ...string) string { return filepath.Join(append([]string{top}, parts...)...) }
	for _, dir := range []string{at("checkout", ".venv", "bin"), at("python", "bin"), at("python", "lib")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{at("checkout", ".venv", "pyvenv.cfg"), at("python", "bin", "python3.11")} {
		if err := os.WriteFile(file, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := at("checkout", ".venv", "bin", "python")
	if err := os.Symlink(at("python", "bin", "python3.11"), link); err != nil {
		t.Fatal(err)
	}
	first := []string{at("checkout", ".venv", "bin")}
	got := keptFolders(first, []string{"PATH=" + first[0] + ":/no/such/folder"}, nil)
	if want := []string{at("checkout"), at("python")}; !slices.Equal(got, want) {
		t.Errorf("got %s", strings.Join(got, " "))
	}
}
