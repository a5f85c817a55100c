package runtime

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	utilexec "k8s.io/utils/exec"
)

// These tests start real containers, on the network of whoever runs them. The test program plays
// the first process itself: it contains the package contain, as the real one does.

// pod is a runtime with one pod on the host's network.
type pod struct {
	*testing.T
	runtime *Runtime
	config  *cri.PodSandboxConfig
	id      string
	ended   chan string
}

func newPod(t *testing.T) *pod {
	t.Helper()
	probe := exec.Command("true")
	probe.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS}
	if err := probe.Run(); err != nil {
		t.Skipf("NOT TESTED: this machine refuses user namespaces: %v", err)
	}
	p := &pod{T: t, ended: make(chan string, 8)}
	dir := t.TempDir()
	r, err := New(Config{Dir: filepath.Join(dir, "containers"), NodeDir: dir,
		NodeIP: netip.MustParseAddr("10.1.0.1"), PodCIDR: netip.MustParsePrefix("10.1.0.0/24"),
		Env:   []string{"PATH=" + os.Getenv("PATH"), "HOME=/tmp"},
		Ended: func(uid, container string) { p.ended <- uid + "/" + container }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(0); err != nil {
			t.Error(err)
		}
	})
	node := &cri.NamespaceOption{Network: cri.NamespaceMode_NODE}
	p.runtime, p.config = r, &cri.PodSandboxConfig{
		Metadata: &cri.PodSandboxMetadata{Name: "p", Namespace: "ns", Uid: "uid"},
		Hostname: "p", LogDirectory: filepath.Join(dir, "logs"),
		Linux: &cri.LinuxPodSandboxConfig{
			SecurityContext: &cri.LinuxSandboxSecurityContext{NamespaceOptions: node}}}
	if p.id, err = r.RunPodSandbox(t.Context(), p.config, ""); err != nil {
		t.Fatal(err)
	}
	return p
}

func script(text string) *cri.ContainerConfig {
	return &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: "c"}, Image: &cri.ImageSpec{Image: "x"},
		Command: []string{"sh", "-c", text}, LogPath: "c.log",
		Labels: map[string]string{labelPodUID: "uid", labelContainer: "c"}}
}

func (p *pod) create(config *cri.ContainerConfig) string {
	p.Helper()
	id, err := p.runtime.CreateContainer(p.Context(), p.id, config, p.config)
	if err != nil {
		p.Fatal(err)
	}
	return id
}

func (p *pod) start(config *cri.ContainerConfig) string {
	p.Helper()
	id := p.create(config)
	if err := p.runtime.StartContainer(p.Context(), id); err != nil {
		p.Fatal(err)
	}
	return id
}

// exited waits for the end of a container and returns its status.
func (p *pod) exited(id string) *cri.ContainerStatus {
	p.Helper()
	c, err := p.runtime.container(id)
	if err != nil {
		p.Fatal(err)
	}
	select {
	case <-c.ended:
	case <-time.After(20 * time.Second):
		p.Fatal("the container does not end")
	}
	response, err := p.runtime.ContainerStatus(p.Context(), id, true)
	if err != nil {
		p.Fatal(err)
	}
	return response.Status
}

func (p *pod) log() string {
	p.Helper()
	data, err := os.ReadFile(filepath.Join(p.config.LogDirectory, "c.log"))
	if err != nil {
		p.Fatal(err)
	}
	var text []string
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		_, rest, _ := strings.Cut(line, " ")
		text = append(text, rest)
	}
	return strings.Join(text, "\n")
}

func TestAContainerRunsLogsAndExits(t *testing.T) {
	p := newPod(t)
	id := p.start(script("echo out; echo err >&2; exit 7"))
	status := p.exited(id)
	if status.ExitCode != 7 || status.Reason != "Error" ||
		status.State != cri.ContainerState_CONTAINER_EXITED || status.FinishedAt < status.StartedAt {
		t.Errorf("%+v", status)
	}
	if got := p.log(); !strings.Contains(got, "stdout F out") || !strings.Contains(got, "stderr F err") {
		t.Errorf("log: %q", got)
	}
	if got := <-p.ended; got != "uid/c" {
		t.Errorf("told %q", got)
	}
	if err := p.runtime.RemoveContainer(t.Context(), id); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(p.runtime.config.Dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
	if err := p.runtime.RemoveContainer(t.Context(), id); err != nil {
		t.Errorf("removing twice: %v", err)
	}
}

func TestExitCodes(t *testing.T) {
	p := newPod(t)
	for text, want := range map[string]int32{"exit 0": 0, "kill -9 $$": 137, "kill -s SEGV $$": 139} {
		if status := p.exited(p.start(script(text))); status.ExitCode != want ||
			(want == 0) != (status.Reason == "Completed") {
			t.Errorf("%s: %d %s", text, status.ExitCode, status.Reason)
		}
	}
}

func TestACommandThatCannotStartIsNamed(t *testing.T) {
	p := newPod(t)
	config := script("")
	config.Command = []string{"no-such-program"}
	id := p.create(config)
	err := p.runtime.StartContainer(t.Context(), id)
	if err == nil || !strings.Contains(err.Error(), "no-such-program") ||
		!strings.Contains(err.Error(), os.Getenv("PATH")) {
		t.Errorf("%v", err)
	}
	if status := p.exited(id); status.Reason != "StartError" || status.ExitCode != failedToStart {
		t.Errorf("%+v", status)
	}
	config = script("true")
	config.WorkingDir = "/no/such/folder"
	if err := p.runtime.StartContainer(t.Context(), p.create(config)); err == nil ||
		!strings.Contains(err.Error(), "/no/such/folder") {
		t.Errorf("%v", err)
	}
}

func TestTheFileSystemIsTheContainersOwn(t *testing.T) {
	p := newPod(t)
	volume := t.TempDir()
	if err := os.WriteFile(filepath.Join(volume, "file"), []byte("volume"), 0o644); err != nil {
		t.Fatal(err)
	}
	config := script(`cat /etc/sluice/deep/file /images/file /var/run/secrets/x/file; echo
id -u; hostname
echo w > /data/written && touch /tmp/free && echo tmp
for f in /images/no /etc/no /no /etc/sluice/no; do touch $f 2>/dev/null && echo "wrote $f"; done
ls "$0"; ls /dev | tr '\n' ' '`)
	config.Command = append(config.Command, p.runtime.config.NodeDir)
	for _, target := range []string{"/images", "/etc/sluice/deep", "/var/run/secrets/x"} {
		config.Mounts = append(config.Mounts,
			&cri.Mount{HostPath: volume, ContainerPath: target, Readonly: true})
	}
	config.Mounts = append(config.Mounts, &cri.Mount{HostPath: volume, ContainerPath: "/data"},
		&cri.Mount{HostPath: t.TempDir(), ContainerPath: "/tmp"})
	config.Linux = &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{
		RunAsUser: &cri.Int64Value{Value: 4711}, ReadonlyRootfs: true}}
	p.exited(p.start(config))
	got := p.log()
	for _, want := range []string{"volumevolumevolume", "F 4711", "F p\n", "F tmp", "null", "shm"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(got, "wrote") || strings.Contains(got, "nvidia") {
		t.Error("it wrote, or sees, what it must not")
	}
	if data, err := os.ReadFile(filepath.Join(volume, "written")); err != nil || string(data) != "w\n" {
		t.Errorf("%q %v", data, err)
	}
	if t.Failed() {
		t.Log(got)
	}
}

func TestStopAsksFirstAndThenForces(t *testing.T) {
	p := newPod(t)
	polite := p.start(script("trap 'exit 3' TERM; while :; do sleep 0.05; done"))
	p.ready(polite)
	if err := p.runtime.StopContainer(t.Context(), polite, 20); err != nil {
		t.Fatal(err)
	}
	if status := p.exited(polite); status.ExitCode != 3 {
		t.Errorf("polite: %+v", status)
	}
	stubborn := p.start(script("trap '' TERM; while :; do sleep 0.05; done"))
	p.ready(stubborn)
	if err := p.runtime.StopContainer(t.Context(), stubborn, 1); err != nil {
		t.Fatal(err)
	}
	if status := p.exited(stubborn); status.ExitCode != 137 {
		t.Errorf("stubborn: %+v", status)
	}
}

// ready waits until the shell of a container has set its trap: it sleeps then.
func (p *pod) ready(id string) {
	p.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		out, _, err := p.runtime.ExecSync(p.Context(), id, []string{"sh", "-c",
			"for f in /proc/[0-9]*/comm; do cat $f 2>/dev/null; done; true"}, 0)
		if err == nil && strings.Contains(string(out), "sleep\n") {
			return
		}
	}
	p.Fatal("the container does not get going")
}

func TestExecSync(t *testing.T) {
	p := newPod(t)
	id := p.start(script("sleep 100"))
	out, errOut, err := p.runtime.ExecSync(t.Context(), id, []string{"sh", "-c", "echo a; echo b >&2"}, 0)
	if err != nil || string(out) != "a\n" || string(errOut) != "b\n" {
		t.Errorf("%q %q %v", out, errOut, err)
	}
	var exit utilexec.CodeExitError
	for argv, want := range map[string]int{"exit 5": 5, "no-such-program": 127} {
		_, _, err := p.runtime.ExecSync(t.Context(), id, []string{"sh", "-c", argv}, 0)
		if !errors.As(err, &exit) || exit.Code != want {
			t.Errorf("%s: %v", argv, err)
		}
	}
	if _, _, err = p.runtime.ExecSync(t.Context(), id, []string{"absent"}, 0); !errors.As(err, &exit) ||
		exit.Code != 127 || !strings.Contains(err.Error(), "absent") {
		t.Errorf("%v", err)
	}
	begin := time.Now()
	_, _, err = p.runtime.ExecSync(t.Context(), id, []string{"sleep", "60"}, 200*time.Millisecond)
	if status.Code(err) != codes.DeadlineExceeded || time.Since(begin) > 20*time.Second {
		t.Errorf("%v after %s", err, time.Since(begin))
	}
	if err := p.runtime.StopContainer(t.Context(), id, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err = p.runtime.ExecSync(t.Context(), id, []string{"true"}, 0); err == nil {
		t.Error("exec in a container that has ended")
	}
}

func TestOrphansEndWithTheirContainer(t *testing.T) {
	p := newPod(t)
	id := p.start(script("(sleep 987 &) ; sleep 987"))
	p.ready(id)
	stats, err := p.runtime.ContainerStats(t.Context(), id)
	if err != nil || stats.Memory.UsageBytes.Value == 0 {
		t.Errorf("%v %v", stats, err)
	}
	if err := p.runtime.StopPodSandbox(t.Context(), p.id); err != nil {
		t.Fatal(err)
	}
	if got := p.exited(id).ExitCode; got != 137 {
		t.Errorf("exit code %d", got)
	}
	own, _ := os.Readlink("/proc/self/ns/pid")
	for namespace, used := range usageByNamespace("/proc") {
		if namespace != own && used.processes > 0 && strings.Contains(commandLines(t), "sleep\x00987") {
			t.Errorf("%s still has %d processes", namespace, used.processes)
		}
	}
	if err := p.runtime.RemovePodSandbox(t.Context(), p.id); err != nil {
		t.Fatal(err)
	}
	if _, err := p.runtime.PodSandboxStatus(t.Context(), p.id, false); status.Code(err) != codes.NotFound {
		t.Errorf("%v", err)
	}
}

func commandLines(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		data, _ := os.ReadFile(file) // it may have ended
		all.Write(data)
	}
	return all.String()
}

func TestEventsTellTheStateOfThePod(t *testing.T) {
	p := newPod(t)
	ctx, cancel := context.WithCancel(t.Context())
	events := make(chan *cri.ContainerEventResponse)
	listening, done := make(chan struct{}), make(chan error)
	go func() {
		done <- p.runtime.GetContainerEvents(ctx, events,
			func(cri.RuntimeService_GetContainerEventsClient) { close(listening) })
	}()
	<-listening
	id := p.start(script("exit 4"))
	for _, want := range []cri.ContainerEventType{cri.ContainerEventType_CONTAINER_CREATED_EVENT,
		cri.ContainerEventType_CONTAINER_STARTED_EVENT, cri.ContainerEventType_CONTAINER_STOPPED_EVENT} {
		event := <-events
		if event.ContainerEventType != want || event.ContainerId != id || len(event.ContainersStatuses) != 1 {
			t.Errorf("want %s, got %+v", want, event)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
