// Logs in CRI's format.

package runtime

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// maxLogLine is the length at which CRI runtimes break a line into parts.
const maxLogLine = 16 << 10

// logFile writes a container's output in CRI's log format. The kubelet renames the file to
// rotate it and then asks to reopen; no line is lost or torn by that.
type logFile struct {
	mu   sync.Mutex
	path string
	file *os.File
	now  func() time.Time
}

// openLog opens, or makes, the log. An empty path means that nobody wants it.
func openLog(path string) (*logFile, error) {
	l := &logFile{path: path, now: time.Now}
	return l, l.reopen()
}

func (l *logFile) reopen() error {
	if l.path == "" {
		return nil
	}
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.file
	l.file = file
	if old != nil {
		return old.Close()
	}
	return nil
}

func (l *logFile) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	file := l.file
	l.file = nil
	return file.Close()
}

// write adds one line, or a part of one.
func (l *logFile) write(stream string, text []byte, partial bool) error {
	tag := "F"
	if partial {
		tag = "P"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	_, err := fmt.Fprintf(l.file, "%s %s %s %s\n", l.now().Format(time.RFC3339Nano), stream, tag, text)
	return err
}

// pump copies a stream into the log until it ends. When the disk is full the output is lost, but
// the container must not be blocked by it: pump goes on reading.
func (l *logFile) pump(stream string, from io.Reader) error {
	reader := bufio.NewReaderSize(from, maxLogLine)
	var failures error
	for {
		line, err := reader.ReadSlice('\n')
		full := len(line) > 0 && line[len(line)-1] == '\n'
		if full {
			line = line[:len(line)-1]
		}
		if full || len(line) > 0 {
			if writeErr := l.write(stream, line, !full); writeErr != nil && failures == nil {
				failures = writeErr
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
				failures = errors.Join(failures, err)
			}
			return failures
		}
	}
}
