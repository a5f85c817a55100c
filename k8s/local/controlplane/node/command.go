// Package node is the process node: the real kubelet as a library, over a container runtime that
// starts plain processes.
package node

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"controlplane.sluice.dev/runtime"
)

// options are the flags of the subcommand "process-node".
type options struct {
	kubeconfig, name, dir     string
	cert, key, clientCA       string
	nodeIP                    netip.Addr
	podCIDR                   netip.Prefix
	gpus                      string
	path, keep                []string
	clusterDNS, clusterDomain string
	port                      int
	grace                     time.Duration
}

func parse(args []string) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("process-node", flag.ExitOnError)
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig of the node's own user")
	flags.StringVar(&o.name, "node-name", "process-node", "the node's name")
	nodeIP := flags.String("node-ip", "10.244.0.1", "the node's address, as given to network")
	podCIDR := flags.String("pod-cidr", "10.244.0.0/16", "the pods' range, as given to network")
	flags.StringVar(&o.dir, "dir", "", "a folder for the node's state")
	flags.StringVar(&o.cert, "cert", "", "certificate that the node serves with")
	flags.StringVar(&o.key, "key", "", "key of the certificate")
	flags.StringVar(&o.clientCA, "client-ca", "", "CA of the clients that may ask the node")
	flags.StringVar(&o.gpus, "gpus", "auto", "how many GPUs to offer; auto counts /dev/nvidia*")
	path := flags.String("path", "", "folders that come first in the PATH of containers, with colons")
	keep := flags.String("keep", "", "more host folders that containers see in any case, with colons")
	flags.StringVar(&o.clusterDNS, "cluster-dns", "10.96.0.10", "name server of pods; see service-proxy")
	flags.StringVar(&o.clusterDomain, "cluster-domain", "cluster.local", "domain of Service names")
	flags.IntVar(&o.port, "port", 10250, "port that the node serves the API server on")
	flags.DurationVar(&o.grace, "grace", 5*time.Second, "time for pods to end when the node stops")
	klog.InitFlags(flags)
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	o.path, o.keep = filepath.SplitList(*path), filepath.SplitList(*keep)
	var err error
	if o.nodeIP, err = netip.ParseAddr(*nodeIP); err != nil {
		return nil, fmt.Errorf("--node-ip: %w", err)
	}
	if o.podCIDR, err = netip.ParsePrefix(*podCIDR); err != nil {
		return nil, fmt.Errorf("--pod-cidr: %w", err)
	}
	return o, o.check()
}

func (o *options) check() error {
	var missing []string
	for _, f := range []struct {
		name  string
		value *string
	}{{"kubeconfig", &o.kubeconfig}, {"dir", &o.dir}, {"cert", &o.cert}, {"key", &o.key},
		{"client-ca", &o.clientCA}} {
		if *f.value == "" {
			missing = append(missing, "--"+f.name)
			continue
		}
		absolute, err := filepath.Abs(*f.value)
		if err != nil {
			return err
		}
		*f.value = absolute
	}
	if len(missing) > 0 {
		return errors.New("process-node needs " + strings.Join(missing, ", "))
	}
	if !o.podCIDR.Contains(o.nodeIP) {
		return fmt.Errorf("--node-ip %s must lie in --pod-cidr %s", o.nodeIP, o.podCIDR)
	}
	return nil
}

// Main is the subcommand "process-node". It runs until SIGTERM or SIGINT, and then stops the pods.
func Main(args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	if err := ownMounts(); err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	return run(ctx, o)
}

func run(ctx context.Context, o *options) error {
	devices, err := gpuFiles()
	if err != nil {
		return err
	}
	visible, isSet := os.LookupEnv("CUDA_VISIBLE_DEVICES")
	gpus, err := countGPUs(o.gpus, devices, visible, isSet)
	if err != nil {
		return err
	}
	env := baseEnvironment(o.path, os.LookupEnv)
	keep := keptFolders(o.path, env, o.keep)
	klog.InfoS("Process node", "name", o.name, "gpus", gpus, "visible", keep)
	m := newManager(gpus, o.dir)
	r, err := runtime.New(runtime.Config{
		Dir: filepath.Join(o.dir, "containers"), NodeDir: o.dir,
		NodeIP: o.nodeIP, PodCIDR: o.podCIDR, Env: env, Keep: keep, GPUDevices: devices,
		Ended: m.ended,
	})
	if err != nil {
		return fmt.Errorf("start the container runtime: %w", err)
	}
	if err := startKubelet(ctx, o, r, m); err != nil {
		return errors.Join(err, r.Stop(0))
	}
	<-ctx.Done()
	klog.InfoS("Stopping the pods", "grace", o.grace)
	return r.Stop(o.grace)
}
