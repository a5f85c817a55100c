// Package pki makes the certificates, keys and kubeconfigs of a local cluster. What exists and is
// still good is kept, so that it can run before every start.
package pki

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// Main is the subcommand "pki".
func Main(args []string) error {
	flags := flag.NewFlagSet("pki", flag.ExitOnError)
	dir := flags.String("dir", "", "folder for certificates, keys and kubeconfigs")
	name := flags.String("node-name", "process-node", "the node's name")
	node := flags.String("node-ip", "10.244.0.1", "the node's address, where the API server listens")
	service := flags.String("service-ip", "10.96.0.1", "address of the Service default/kubernetes")
	port := flags.Int("port", 6443, "port of the API server")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dir == "" {
		return errors.New("pki needs --dir")
	}
	c := Cluster{Dir: *dir, NodeName: *name, Port: *port}
	var err error
	if c.NodeIP, err = netip.ParseAddr(*node); err != nil {
		return fmt.Errorf("--node-ip: %w", err)
	}
	if c.ServiceIP, err = netip.ParseAddr(*service); err != nil {
		return fmt.Errorf("--service-ip: %w", err)
	}
	return c.Ensure(time.Now())
}

// Cluster says whom the certificates are for.
type Cluster struct {
	Dir               string
	NodeName          string
	NodeIP, ServiceIP netip.Addr
	Port              int
}

// identity is one certificate of the cluster.
type identity struct {
	name         string // of the files
	user         string
	group        string
	server       bool
	dns          []string
	addresses    []netip.Addr
	asKubeconfig bool
}

// identities lists everybody. Names of users and groups are those that Kubernetes' built-in roles
// are bound to.
func (c Cluster) identities() []identity {
	loopback := netip.MustParseAddr("127.0.0.1")
	return []identity{
		{name: "apiserver", user: "kube-apiserver", server: true,
			dns: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
				"kubernetes.default.svc.cluster.local"},
			addresses: []netip.Addr{c.NodeIP, c.ServiceIP, loopback}},
		{name: "node", user: "system:node:" + c.NodeName, group: "system:nodes", server: true,
			dns: []string{c.NodeName, "localhost"}, addresses: []netip.Addr{c.NodeIP, loopback},
			asKubeconfig: true},
		{name: "kubelet-client", user: "kube-apiserver-kubelet-client", group: "system:masters"},
		{name: "admin", user: "admin", group: "system:masters", asKubeconfig: true},
		{name: "controller-manager", user: "system:kube-controller-manager", asKubeconfig: true},
		{name: "scheduler", user: "system:kube-scheduler", asKubeconfig: true},
		{name: "service-proxy", user: "system:kube-proxy", asKubeconfig: true},
	}
}

// Ensure makes what is missing, wrong or about to expire.
func (c Cluster) Ensure(now time.Time) error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	ca, err := ensureAuthority(c.path("ca"), now)
	if err != nil {
		return fmt.Errorf("certificate authority: %w", err)
	}
	for _, who := range c.identities() {
		if err := ca.ensure(c.path(who.name), who, now); err != nil {
			return fmt.Errorf("certificate of %s: %w", who.name, err)
		}
		if !who.asKubeconfig {
			continue
		}
		if err := c.writeKubeconfig(who); err != nil {
			return fmt.Errorf("kubeconfig of %s: %w", who.name, err)
		}
	}
	if err := ensureSigningKey(c.path("sa.key"), c.path("sa.pub")); err != nil {
		return fmt.Errorf("key for service accounts: %w", err)
	}
	return nil
}

func (c Cluster) path(name string) string { return filepath.Join(c.Dir, name) }
