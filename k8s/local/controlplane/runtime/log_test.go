package runtime

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func logAt(t *testing.T, path string) *logFile {
	t.Helper()
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	l.now = func() time.Time { return time.Unix(0, 0).UTC() }
	return l
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(data), "1970-01-01T00:00:00Z ", "")
}

func TestLogHasCRIFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	l := logAt(t, path)
	if err := l.pump("stdout", strings.NewReader("one\n\nno end")); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != "stdout F one\nstdout F \nstdout P no end\n" {
		t.Errorf("got %q", got)
	}
}

func TestLogBreaksLongLinesIntoParts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	l := logAt(t, path)
	text := strings.Repeat("x", 2*maxLogLine+5)
	if err := l.pump("stderr", strings.NewReader(text+"\nnext\n")); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(content(t, path), "\n")
	joined := ""
	for i, want := range []string{"stderr P ", "stderr P ", "stderr F "} {
		joined += strings.TrimPrefix(lines[i], want)
	}
	if joined != text || lines[3] != "stderr F next" {
		t.Errorf("got %d bytes, then %q", len(joined), lines[3])
	}
}

func TestLogLosesNothingWhenRotated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	l := logAt(t, path)
	read, write := io.Pipe()
	done := make(chan error)
	go func() { done <- l.pump("stdout", read) }()
	send := func(text string) {
		if _, err := io.WriteString(write, text); err != nil {
			t.Error(err)
		}
	}
	send("before\n")
	// A pipe's write returns when it was read; the line is in the file when the next is taken.
	send("half")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.reopen(); err != nil {
		t.Fatal(err)
	}
	send(" line\n")
	write.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if old, fresh := content(t, path+".1"), content(t, path); old != "stdout F before\n" ||
		fresh != "stdout F half line\n" {
		t.Errorf("got %q and %q", old, fresh)
	}
}

func TestLogWithoutAPathTakesAnything(t *testing.T) {
	l := logAt(t, "")
	if err := l.pump("stdout", strings.NewReader("x\n")); err != nil {
		t.Error(err)
	}
	if err := l.close(); err != nil {
		t.Error(err)
	}
}
