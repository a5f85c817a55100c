package contain

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestLookPathNamesTheFileAndThePath(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"tool": 0o755, "text": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"PATH=/nowhere", "PATH=/missing:" + dir}
	if got, err := lookPath("tool", env, ""); err != nil || got != filepath.Join(dir, "tool") {
		t.Errorf("got %s, %v", got, err)
	}
	if got, err := lookPath("./tool", env, dir); err != nil || got != filepath.Join(dir, "tool") {
		t.Errorf("got %s, %v", got, err)
	}
	_, err := lookPath("absent", env, "")
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), `"absent"`) ||
		!strings.Contains(err.Error(), "/missing:"+dir) {
		t.Errorf("%v", err)
	}
	if _, err := lookPath("text", env, ""); !errors.Is(err, os.ErrPermission) || codeOf(err) != 126 {
		t.Errorf("%v", err)
	}
	if _, err := lookPath("/no/such", env, ""); !errors.Is(err, os.ErrNotExist) || codeOf(err) != 127 {
		t.Errorf("%v", err)
	}
}

func TestConnCarriesMessagesAndDescriptors(t *testing.T) {
	node, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	inside := NewConn(file)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	if err := node.Send(Request{ID: 7, Op: OpExec, Argv: []string{"ls"}}, int(write.Fd())); err != nil {
		t.Fatal(err)
	}
	write.Close()
	var request Request
	fds, err := inside.Receive(&request)
	if err != nil || request.ID != 7 || len(fds) != 1 {
		t.Fatalf("%+v %v %v", request, fds, err)
	}
	if _, err := syscall.Write(fds[0], []byte("through")); err != nil {
		t.Fatal(err)
	}
	syscall.Close(fds[0])
	if got, err := io.ReadAll(read); err != nil || string(got) != "through" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := node.Send(Request{Argv: []string{strings.Repeat("x", maxMessage)}}); err == nil {
		t.Error("a message over the limit must be an error")
	}
	node.Close()
	if _, err := inside.Receive(&request); !errors.Is(err, io.EOF) {
		t.Errorf("after the other end closed: %v", err)
	}
}

func TestExitCodeOfASignalIsOver128(t *testing.T) {
	if got := exitCode(syscall.WaitStatus(9)); got != 137 {
		t.Errorf("got %d", got)
	}
	if got := exitCode(syscall.WaitStatus(3 << 8)); got != 3 {
		t.Errorf("got %d", got)
	}
}
