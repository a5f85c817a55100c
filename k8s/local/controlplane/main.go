// Command sluice-k8s is a Kubernetes cluster for one machine in one binary: the upstream control
// plane as it is, and a node, a network and a Service proxy that need no privileges.
//
// The first argument chooses the component; the rest are its flags. See README.md.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kubeproxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	// Its init function is the beginning of every container.
	_ "controlplane.sluice.dev/contain"
	"controlplane.sluice.dev/network"
	"controlplane.sluice.dev/node"
	"controlplane.sluice.dev/pki"
	"controlplane.sluice.dev/proxy"
)

// upstream are Kubernetes' own programs.
var upstream = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllers.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kube-proxy":              kubeproxy.NewProxyCommand,
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
}

// own are this module's.
var own = map[string]func(args []string) error{
	"network":       network.Main,
	"pki":           pki.Main,
	"process-node":  node.Main,
	"service-proxy": proxy.Main,
}

const usage = `sluice-k8s COMPONENT [FLAGS]

upstream:  etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl
own:       network pki process-node service-proxy
`

func main() {
	// A link named as a component is that component: kubectl -> sluice-k8s.
	name, args := filepath.Base(os.Args[0]), os.Args[1:]
	if !known(name) {
		if len(args) == 0 || !known(args[0]) {
			fmt.Fprint(os.Stderr, usage)
			os.Exit(2)
		}
		name, args = args[0], args[1:]
	}
	if do, ok := own[name]; ok {
		if err := do(args); err != nil {
			fmt.Fprintf(os.Stderr, "sluice-k8s %s: %v\n", name, err)
			os.Exit(1)
		}
		return
	}
	os.Args = append([]string{name}, args...)
	switch name {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kubectl":
		// As upstream does: it prints its errors itself, and its exit code says more than 1.
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			kubectlutil.CheckErr(err)
		}
	default:
		os.Exit(cli.Run(upstream[name]()))
	}
}

func known(name string) bool {
	return name == "etcd" || name == "kubectl" || own[name] != nil || upstream[name] != nil
}
