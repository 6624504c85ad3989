package suites

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of the suite's ServerCompatRequest and ServerCompatResponse.
const (
	requestUseTLS     = 4
	requestClientCert = 5
	requestServerCert = 7

	responseHost        = 1
	responsePort        = 2
	responseCertificate = 3
)

// ConnectServer is the server that connectconformance starts: the reference server as the gateway's
// backend, with the gateway's address instead of its own. Its arguments are that program, the backend's
// port, the gateway's ports for clear text and TLS, and the gateway's certificate.
func ConnectServer(arguments []string) error {
	if len(arguments) != 5 {
		return errors.New("connect-server is started by connectconformance")
	}
	request, err := readMessage(os.Stdin)
	if err != nil {
		return err
	}
	plain, secure, err := withoutTLS(request)
	if err != nil {
		return err
	}
	command := exec.Command(arguments[0], "--port", arguments[1])
	command.Stderr = os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	input, err := command.StdinPipe()
	if err != nil {
		return err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	if err := errors.Join(writeMessage(input, plain), input.Close()); err != nil {
		return err
	}
	if _, err := readMessage(output); err != nil {
		return err
	}
	port, certificate := arguments[2], ""
	if secure {
		port, certificate = arguments[3], arguments[4]
	}
	answer, err := serverResponse(port, certificate)
	if err != nil {
		return err
	}
	// The suite ends this process, and the reference server with it.
	return errors.Join(writeMessage(os.Stdout, answer), command.Wait())
}

// withoutTLS takes away what concerns TLS, which ends at the gateway, and says whether it was asked for.
func withoutTLS(request []byte) (plain []byte, secure bool, err error) {
	for len(request) > 0 {
		number, _, size := protowire.ConsumeField(request)
		if size < 0 {
			return nil, false, protowire.ParseError(size)
		}
		switch number {
		case requestUseTLS:
			secure = true
		case requestClientCert, requestServerCert:
		default:
			plain = append(plain, request[:size]...)
		}
		request = request[size:]
	}
	return plain, secure, nil
}

func serverResponse(port, certificate string) ([]byte, error) {
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	message := protowire.AppendTag(nil, responseHost, protowire.BytesType)
	message = protowire.AppendString(message, "127.0.0.1")
	message = protowire.AppendTag(message, responsePort, protowire.VarintType)
	message = protowire.AppendVarint(message, number)
	if certificate != "" {
		data, err := os.ReadFile(certificate)
		if err != nil {
			return nil, err
		}
		message = protowire.AppendTag(message, responseCertificate, protowire.BytesType)
		message = protowire.AppendBytes(message, data)
	}
	return message, nil
}

// A message of the suite has its length, four bytes, before it.
func readMessage(r io.Reader) ([]byte, error) {
	var length uint32
	if err := binary.Read(r, binary.BigEndian, &length); err != nil {
		return nil, err
	}
	message := make([]byte, length)
	_, err := io.ReadFull(r, message)
	return message, err
}

func writeMessage(w io.Writer, message []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...))
	return err
}
