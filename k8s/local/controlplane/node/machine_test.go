package node

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	cadvisorapiv2 "github.com/google/cadvisor/info/v2"
)

func TestMachineTellsTheTruth(t *testing.T) {
	m := &machine{name: "n", dir: t.TempDir(), started: time.Now()}
	info, err := m.MachineInfo()
	if err != nil || info.NumCores != runtime.NumCPU() || info.MemoryCapacity < 1<<28 {
		t.Errorf("%+v %v", info, err)
	}
	fs, err := m.RootFsInfo()
	if err != nil || fs.Capacity == 0 || fs.Available > fs.Capacity {
		t.Errorf("%+v %v", fs, err)
	}
	all, err := m.ContainerInfoV2("/", cadvisorapiv2.RequestOptions{})
	if err != nil || all["/"].Stats[0].Memory.WorkingSet == 0 {
		t.Errorf("%+v %v", all, err)
	}
	if _, err := m.GetDirFsInfo("/no/such"); err == nil {
		t.Error("a path that does not exist must be an error")
	}
}

func TestProcessorTimeLeavesIdleOut(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stat")
	if err := os.WriteFile(file, []byte("cpu  100 200 300 9999 9999 40 60 0 0 0\ncpu0 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := processorTime(file); err != nil || got != 7*time.Second {
		t.Errorf("got %v, %v", got, err)
	}
}
