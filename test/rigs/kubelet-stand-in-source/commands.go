package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// What a command has of its caller. With a terminal, err is nil.
type streams struct {
	in       io.Reader
	out, err io.Writer
	resize   <-chan remotecommand.TerminalSize
}

// The commands. Nothing of the host is run but tar, in the container's folder.
//
//	cat             stdin to stdout
//	echo TEXT …     to stdout
//	warn TEXT …     to stderr
//	exit CODE
//	zeros COUNT     that many bytes 0 to stdout
//	size COUNT      the terminal's size, `ROWSxCOLUMNS`, at first and whenever it changes, that many lines
//	log TEXT …      one more line in the container's log
//	log-end         whoever follows the log has reached its end
//	sha256sum FILE  | test -d FOLDER | tar …
func (k *kubelet) run(container string, command []string, s streams) error {
	args := command[1:]
	text := strings.Join(args, " ")
	switch command[0] {
	case "cat":
		_, err := io.Copy(s.out, input(s))
		return err
	case "echo":
		fmt.Fprintln(s.out, text)
	case "warn":
		fmt.Fprintln(s.err, text)
	case "exit":
		return exit(number(args))
	case "zeros":
		_, err := io.CopyN(s.out, zeros{}, int64(number(args)))
		return err
	case "size":
		for n := number(args); n > 0; n-- {
			size, more := <-s.resize
			if !more {
				return exit(1)
			}
			fmt.Fprintf(s.out, "%dx%d\r\n", size.Height, size.Width)
		}
	case "log":
		k.logs.of(container).add(time.Now(), text)
	case "log-end":
		k.logs.of(container).end()
	case "sha256sum":
		return k.sha256sum(s, args)
	case "test":
		if found, err := os.Stat(k.path(args[len(args)-1])); err != nil || !found.IsDir() {
			return exit(1)
		}
	case "tar":
		return k.tar(s, args)
	default:
		return fmt.Errorf("executable file not found in $PATH: %q", command[0])
	}
	return nil
}

// What the container's own process does: it repeats what it reads.
func (k *kubelet) attach(s streams) error {
	fmt.Fprint(s.out, "attached\n")
	_, err := io.Copy(s.out, input(s))
	return err
}

func (k *kubelet) sha256sum(s streams, args []string) error {
	file, err := os.Open(k.path(strings.Join(args, " ")))
	if err != nil {
		fmt.Fprintln(s.err, err)
		return exit(1)
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%x\n", hash.Sum(nil))
	return nil
}

// Absolute paths are the container's: names in the archive lose their first slash, as with any tar.
func (k *kubelet) tar(s streams, args []string) error {
	own := make([]string, len(args))
	for i, arg := range args {
		own[i] = arg
		if strings.HasPrefix(arg, "/") {
			own[i] = strings.TrimLeft(filepath.Clean(arg), "/")
		}
		if own[i] == "" {
			own[i] = "."
		}
	}
	command := exec.Command("tar", own...)
	command.Dir, command.Stdin, command.Stdout, command.Stderr = k.files, input(s), s.out, s.err
	err := command.Run()
	if ended, ok := err.(*exec.ExitError); ok {
		return exit(ended.ExitCode())
	}
	return err
}

func (k *kubelet) path(name string) string { return filepath.Join(k.files, filepath.Clean("/"+name)) }

// To a port of this machine; each side may end first.
func (k *kubelet) PortForward(_ string, _ types.UID, port int32, stream io.ReadWriteCloser) error {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer conn.Close()
	go func() {
		io.Copy(conn, stream)
		conn.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(stream, conn)
	return err
}

func (k *kubelet) ExecInContainer(_ string, _ types.UID, container string, command []string, in io.Reader, out, err io.WriteCloser, _ bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	return k.run(container, command, newStreams(in, out, err, resize))
}

func (k *kubelet) AttachContainer(_ string, _ types.UID, _ string, in io.Reader, out, err io.WriteCloser, _ bool, resize <-chan remotecommand.TerminalSize) error {
	return k.attach(newStreams(in, out, err, resize))
}

// Streams that were not asked for take everything.
func newStreams(in io.Reader, out, err io.Writer, resize <-chan remotecommand.TerminalSize) streams {
	if out == nil {
		out = io.Discard
	}
	if err == nil {
		err = out
	}
	return streams{in: in, out: out, err: err, resize: resize}
}

func input(s streams) io.Reader {
	if s.in == nil {
		return strings.NewReader("")
	}
	return s.in
}

func exit(code int) error {
	if code == 0 {
		return nil
	}
	return utilexec.CodeExitError{Err: fmt.Errorf("exit status %d", code), Code: code}
}

func number(args []string) int {
	if len(args) == 0 {
		return 1
	}
	n, _ := strconv.Atoi(args[0])
	return n
}

type zeros struct{}

func (zeros) Read(buffer []byte) (int, error) {
	for i := range buffer {
		buffer[i] = 0
	}
	return len(buffer), nil
}
