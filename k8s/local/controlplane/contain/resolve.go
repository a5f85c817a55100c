// Paths inside a root that is not "/" yet.

package contain

import (
	"errors"
	"fmt"
	"os"
	slash "path"
	"strings"
)

// maxLinks is the kernel's own limit.
const maxLinks = 40

// resolve follows path inside root as if root were "/": absolute links and ".." stay inside.
// It returns the real path below root, and how much of it exists already: existing is the
// longest prefix of full that does.
func resolve(root, path string) (full, existing string, err error) {
	rest := split(path)
	done := []string{}
	links := 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			done = done[:max(len(done)-1, 0)]
			continue
		}
		at := slash.Join(root, slash.Join(done...), name)
		info, err := os.Lstat(at)
		if errors.Is(err, os.ErrNotExist) {
			full := slash.Join(append([]string{at}, rest...)...)
			return full, slash.Join(root, slash.Join(done...)), nil
		}
		if err != nil {
			return "", "", err
		}
		if info.Mode()&os.ModeSymlink == 0 {
			done = append(done, name)
			continue
		}
		if links++; links > maxLinks {
			return "", "", fmt.Errorf("%s: too many symbolic links", path)
		}
		to, err := os.Readlink(at)
		if err != nil {
			return "", "", err
		}
		if slash.IsAbs(to) {
			done = done[:0]
		}
		rest = append(split(to), rest...)
	}
	full = slash.Join(root, slash.Join(done...))
	return full, full, nil
}

// split cuts a path into its names. It keeps ".." because what it means depends on links.
func split(path string) []string {
	var names []string
	for _, name := range strings.Split(path, "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	return names
}

// within says whether path is folder or lies below it.
func within(path, folder string) bool {
	return path == folder || folder == "/" || strings.HasPrefix(path, folder+"/")
}
