// kubelet-stand-in - the part of a kubelet that a kube-apiserver talks to, in front of no container runtime. Protocols
// are the kubelet's own packages; this file has the paths and the door, commands.go what a container can do.
//
// Built inside the Kubernetes tree (1.20) by the script of this name.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"log"
	"net/http"
	"os"
	"strings"

	remotecommandconsts "k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/kubernetes/pkg/kubelet/cri/streaming/portforward"
	"k8s.io/kubernetes/pkg/kubelet/cri/streaming/remotecommand"
)

// As the kubelet has it: a stream may be idle for four hours.
const idle = remotecommandconsts.DefaultStreamCreationTimeout * 480

func main() {
	listen := flag.String("listen", "127.0.0.1:10350", "address")
	cert := flag.String("cert", "", "serving certificate")
	key := flag.String("key", "", "its key")
	clientCA := flag.String("client-ca", "", "CA of the API servers' client certificate")
	files := flag.String("files", "", "folder that is every container's file system")
	flag.Parse()
	server := &http.Server{
		Addr:    *listen,
		Handler: &kubelet{files: *files, logs: newLogs()},
		// HTTP/1.1 only: connections are upgraded.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		TLSConfig:    &tls.Config{ClientCAs: pool(*clientCA), ClientAuth: tls.RequireAndVerifyClientCert},
	}
	log.Printf("kubelet-stand-in listens on %s", *listen)
	log.Fatal(server.ListenAndServeTLS(*cert, *key))
}

func pool(file string) *x509.CertPool {
	pem, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	found := x509.NewCertPool()
	if !found.AppendCertsFromPEM(pem) {
		log.Fatalf("%s has no certificate", file)
	}
	return found
}

type kubelet struct {
	files string
	logs  *logs
}

// /exec/NAMESPACE/POD/CONTAINER and the like; every pod there is taken to be here.
func (k *kubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	log.Printf("%s %s upgrade=%q protocols=%q/%q", r.Method, r.URL.Path, r.Header.Get("Upgrade"),
		r.Header.Values("Sec-WebSocket-Protocol"), r.Header.Values("X-Stream-Protocol-Version"))
	if name := r.TLS.PeerCertificates[0].Subject.CommonName; name != "kube-apiserver-kubelet-client" {
		http.Error(w, name+" is no API server", http.StatusForbidden)
		return
	}
	part := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(part) == 4 && part[0] == "exec":
		k.serveExec(w, r, part[1]+"/"+part[2]+"/"+part[3])
	case len(part) == 4 && part[0] == "attach":
		k.serveAttach(w, r, part[1]+"/"+part[2]+"/"+part[3])
	case len(part) == 4 && part[0] == "containerLogs":
		k.logs.serve(w, r, part[1]+"/"+part[2]+"/"+part[3])
	case len(part) == 3 && part[0] == "portForward":
		k.servePortForward(w, r, part[2])
	default:
		http.NotFound(w, r)
	}
}

func (k *kubelet) serveExec(w http.ResponseWriter, r *http.Request, container string) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	command := r.URL.Query()["command"]
	if asksForV5(r) {
		serveV5(w, r, options, func(s streams) error { return k.run(container, command, s) })
		return
	}
	remotecommand.ServeExec(w, r, k, "", "", container, command, options, idle,
		remotecommandconsts.DefaultStreamCreationTimeout, remotecommandconsts.SupportedStreamingProtocols)
}

func (k *kubelet) serveAttach(w http.ResponseWriter, r *http.Request, container string) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if asksForV5(r) {
		serveV5(w, r, options, func(s streams) error { return k.attach(s) })
		return
	}
	remotecommand.ServeAttach(w, r, k, "", "", container, options, idle,
		remotecommandconsts.DefaultStreamCreationTimeout, remotecommandconsts.SupportedStreamingProtocols)
}

func (k *kubelet) servePortForward(w http.ResponseWriter, r *http.Request, pod string) {
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, k, pod, "", options, idle,
		remotecommandconsts.DefaultStreamCreationTimeout, portforward.SupportedProtocols)
}
