// What a container gets of the node's environment, and which folders it sees in any case.

package node

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// passedOn are variables of the node that every process may need to run at all: where shared
// libraries and certificates are, the language, the time zone. Nothing else of the node's
// environment reaches a container.
var passedOn = []string{"LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "NIX_LD",
	"NIX_LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ"}

// usualPath is what a container gets when the node has no PATH itself.
const usualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// baseEnvironment is what every container starts with. first are folders that come first in PATH.
func baseEnvironment(first []string, lookup func(string) (string, bool)) []string {
	path, ok := lookup("PATH")
	if !ok || path == "" {
		path = usualPath
	}
	folders := append(slices.Clone(first), filepath.SplitList(path)...)
	env := []string{"PATH=" + strings.Join(folders, ":"), "HOME=/tmp"}
	for _, name := range passedOn {
		if value, ok := lookup(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// keptFolders lists what must stay visible in containers even where a private folder or a volume
// lies over it: the folders of PATH; the virtual environments among them with the interpreter
// behind them; and the checkout that a virtual environment called .venv lies in, because packages
// are installed from there by reference.
func keptFolders(first []string, env []string, extra []string) []string {
	kept := slices.Clone(extra)
	for _, folder := range first {
		kept = append(kept, folder)
		environment := filepath.Dir(folder)
		if _, err := os.Stat(filepath.Join(environment, "pyvenv.cfg")); err != nil {
			continue
		}
		kept = append(kept, environment)
		if filepath.Base(environment) == ".venv" {
			kept = append(kept, filepath.Dir(environment))
		}
		// bin/python is a link to .../bin/python3.x; its libraries lie beside that bin.
		if real, err := filepath.EvalSymlinks(filepath.Join(folder, "python")); err == nil {
			kept = append(kept, filepath.Dir(filepath.Dir(real)))
		}
	}
	for _, entry := range env {
		if path, ok := strings.CutPrefix(entry, "PATH="); ok {
			kept = append(kept, filepath.SplitList(path)...)
		}
		if path, ok := strings.CutPrefix(entry, "LD_LIBRARY_PATH="); ok {
			kept = append(kept, filepath.SplitList(path)...)
		}
	}
	return realFolders(kept)
}

// realFolders resolves links, drops what does not exist and what lies in another of the list, and
// sorts, so that outer folders come first.
func realFolders(folders []string) []string {
	var real []string
	for _, folder := range folders {
		for _, path := range []string{folder, resolved(folder)} {
			if info, err := os.Stat(path); err == nil && info.IsDir() && filepath.IsAbs(path) &&
				path != "/" {
				real = append(real, filepath.Clean(path))
			}
		}
	}
	slices.Sort(real)
	var outer []string
	for _, path := range real {
		inside := slices.ContainsFunc(outer, func(o string) bool {
			return path == o || strings.HasPrefix(path, o+"/")
		})
		if !inside {
			outer = append(outer, path)
		}
	}
	return outer
}

func resolved(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return path
	}
	return real
}
