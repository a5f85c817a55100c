package node

import (
	"slices"
	"testing"
)

func always(holder) bool { return true }

func TestAssignIsExclusive(t *testing.T) {
	gpus := numbers(3)
	held := map[holder][]string{}
	a, b, c := holder{"a", "server"}, holder{"b", "server"}, holder{"c", "server"}
	for _, step := range []struct {
		who   holder
		count int
		want  []string
	}{{a, 1, []string{"0"}}, {b, 2, []string{"1", "2"}}, {a, 1, []string{"0"}}} {
		got, err := assign(gpus, held, always, step.who, step.count)
		if err != nil || !slices.Equal(got, step.want) {
			t.Fatalf("%v: got %q, %v", step.who, got, err)
		}
		held[step.who] = got
	}
	if got, err := assign(gpus, held, always, c, 1); err == nil {
		t.Errorf("all are taken, but c got %q", got)
	}
	got, err := assign(gpus, held, func(h holder) bool { return h != b }, c, 2)
	if err != nil || !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("b is gone, but c got %q, %v", got, err)
	}
	if len(held) != 2 {
		t.Error("assign must not change what it is given")
	}
}

func TestAssignTellsContainersOfOnePodApart(t *testing.T) {
	held := map[holder][]string{{"a", "one"}: {"0"}}
	got, err := assign(numbers(2), held, always, holder{"a", "two"}, 1)
	if err != nil || !slices.Equal(got, []string{"1"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestCountGPUs(t *testing.T) {
	files := []string{"/dev/nvidia0", "/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm"}
	cases := []struct {
		name, wish string
		devices    []string
		visible    string
		isSet      bool
		want       []string
		bad        bool
	}{
		{"by the files", "auto", files, "", false, []string{"0", "1"}, false},
		{"none", "auto", nil, "0", true, []string{}, false},
		{"a part", "auto", files, "1", true, []string{"1"}, false},
		{"by name", "auto", files, "GPU-x, GPU-y", true, []string{"GPU-x", "GPU-y"}, false},
		{"hidden", "auto", files, "", true, nil, false},
		{"a number", "4", nil, "", false, []string{"0", "1", "2", "3"}, false},
		{"no number", "many", nil, "", false, nil, true},
		{"negative", "-1", nil, "", false, nil, true},
		{"twice", "auto", files, "0,0", true, nil, true},
	}
	for _, c := range cases {
		got, err := countGPUs(c.wish, c.devices, c.visible, c.isSet)
		if (err != nil) != c.bad || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, %v", c.name, got, err)
		}
	}
}
