package runtime

import (
	"fmt"
	"os"
	"testing"
	"time"
)

func TestProcessStatCountsFromTheEndOfTheName(t *testing.T) {
	line := "42 (a) b (c) S 1 42 42 0 -1 0 0 0 0 0 100 50 25 25 20 0 1 0 99 1000 7 0\n"
	cpu, resident, ok := processStat([]byte(line))
	if !ok || cpu != 2*time.Second || resident != uint64(7*os.Getpagesize()) {
		t.Errorf("%v %v %v", cpu, resident, ok)
	}
	for _, bad := range []string{"", "42 (a", "42 (a) S 1"} {
		if _, _, ok := processStat([]byte(bad)); ok {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestUsageFindsThisProcess(t *testing.T) {
	own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	if used := usageByNamespace("/proc")[own]; used.memory == 0 || used.processes == 0 {
		t.Errorf("%+v", used)
	}
}
