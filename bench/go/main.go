// What k8s-keystone-auth does for each TokenReview, its two calls to Keystone left out: decode into maps, set the
// status, answer the whole object as indented JSON.
package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

type object = map[string]interface{}

func review(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	var data object
	if err := json.Unmarshal(body, &data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if data["kind"] != "TokenReview" || data["spec"].(object)["token"] == "" {
		http.Error(w, "unknown kind", http.StatusBadRequest)
		return
	}
	key := "alpha.kubernetes.io/identity/"
	data["status"] = object{
		"authenticated": true,
		"user": object{
			"username": "user", "uid": "0db6239632034bb3a434c1d3ef0f2468",
			"groups": []string{"k8s-devs", "33827a10ef37443db6cb0f0967030fd0"},
			"extra": object{
				key + "project/id": []string{"33827a10ef37443db6cb0f0967030fd0"}, key + "project/name": []string{"demo"},
				key + "roles":          []string{"member", "reader"},
				key + "user/domain/id": []string{"default"}, key + "user/domain/name": []string{"Default"},
			},
		},
	}
	answer, err := json.MarshalIndent(data, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(answer)
}

func main() {
	certificate, err := tls.LoadX509KeyPair(os.Args[1], os.Args[2])
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("ready", listener.Addr().(*net.TCPAddr).Port)
	http.HandleFunc("/webhook", review)
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	panic((&http.Server{}).Serve(tls.NewListener(listener, config)))
}
