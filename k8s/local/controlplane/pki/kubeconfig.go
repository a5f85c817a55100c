// Kubeconfig files.

package pki

import (
	"net"
	"os"
	"strconv"

	"k8s.io/client-go/tools/clientcmd"
	api "k8s.io/client-go/tools/clientcmd/api"
)

// clusterName is what kubeconfigs call the cluster and the context.
const clusterName = "sluice-local"

// writeKubeconfig writes NAME.kubeconfig. Certificates and key are inside it, so that it can be
// carried elsewhere.
func (c Cluster) writeKubeconfig(who identity) error {
	authority, err := os.ReadFile(c.path("ca.crt"))
	if err != nil {
		return err
	}
	certificate, err := os.ReadFile(c.path(who.name + ".crt"))
	if err != nil {
		return err
	}
	key, err := os.ReadFile(c.path(who.name + ".key"))
	if err != nil {
		return err
	}
	config := api.NewConfig()
	server := net.JoinHostPort(c.NodeIP.String(), strconv.Itoa(c.Port))
	config.Clusters[clusterName] = &api.Cluster{Server: "https://" + server,
		CertificateAuthorityData: authority}
	config.AuthInfos[who.name] = &api.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
	config.Contexts[clusterName] = &api.Context{Cluster: clusterName, AuthInfo: who.name,
		Namespace: "default"}
	config.CurrentContext = clusterName
	data, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	return replace(c.path(who.name+".kubeconfig"), data, 0o600)
}
