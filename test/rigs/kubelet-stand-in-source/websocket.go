package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	remotecommandconsts "k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/apiserver/pkg/util/wsstream"
	"k8s.io/client-go/tools/remotecommand"
	server "k8s.io/kubernetes/pkg/kubelet/cri/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// The fifth version of the WebSocket subprotocol (KEP-4006), which kubectl asks for since 1.30 and no kubelet speaks:
// newer API servers translate it for theirs, and 1.20 hands it through. It is the fourth with one more signal: a
// message `255 CHANNEL` closes a channel of the client's.
const (
	v5           = "v5.channel.k8s.io"
	closeChannel = 255
)

func asksForV5(r *http.Request) bool {
	return wsstream.IsWebSocketRequest(r) && strings.Contains(r.Header.Get("Sec-WebSocket-Protocol"), v5)
}

func serveV5(w http.ResponseWriter, r *http.Request, options *server.Options, act func(streams) error) {
	conn := wsstream.NewConn(map[string]wsstream.ChannelProtocolConfig{v5: {Binary: true, Channels: channels(options)}})
	conn.SetIdleTimeout(idle)
	_, stream, err := conn.Open(w, r)
	if err != nil {
		return
	}
	defer conn.Close()
	go closeOnSignal(stream)
	resize := make(chan remotecommand.TerminalSize)
	go readSizes(stream[4], resize)
	var in io.Reader
	var out, errors io.Writer
	if options.Stdin {
		in = stream[0]
	}
	if options.Stdout {
		out = stream[1]
	}
	if options.Stderr {
		errors = stream[2]
	}
	status, _ := json.Marshal(statusOf(act(newStreams(in, out, errors, resize))))
	stream[3].Write(status)
}

func channels(options *server.Options) []wsstream.ChannelType {
	all := make([]wsstream.ChannelType, closeChannel+1) // the others are ignored
	for channel, isUsed := range []bool{options.Stdin, options.Stdout, options.Stderr, true, true} {
		if isUsed {
			all[channel] = wsstream.WriteChannel
		}
	}
	if options.Stdin {
		all[0] = wsstream.ReadChannel
	}
	all[4], all[closeChannel] = wsstream.ReadChannel, wsstream.ReadChannel
	return all
}

func closeOnSignal(stream []io.ReadWriteCloser) {
	which := make([]byte, 1)
	for {
		if _, err := stream[closeChannel].Read(which); err != nil {
			return
		}
		stream[which[0]].Close()
	}
}

func readSizes(from io.Reader, to chan<- remotecommand.TerminalSize) {
	defer close(to)
	decoder := json.NewDecoder(from)
	for {
		var size remotecommand.TerminalSize
		if err := decoder.Decode(&size); err != nil {
			return
		}
		to <- size
	}
}

func statusOf(err error) metav1.Status {
	if err == nil {
		return metav1.Status{Status: metav1.StatusSuccess}
	}
	ended, ok := err.(utilexec.ExitError)
	if !ok {
		return metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonInternalError, Message: err.Error()}
	}
	code := fmt.Sprint(ended.ExitStatus())
	return metav1.Status{
		Status:  metav1.StatusFailure,
		Reason:  remotecommandconsts.NonZeroExitCodeReason,
		Message: "command terminated with non-zero exit code: " + code,
		Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: remotecommandconsts.ExitCodeCauseType, Message: code}}},
	}
}
