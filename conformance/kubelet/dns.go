package kubelet

import (
	"context"
	"log"
	"net"
	"strings"

	"github.com/miekg/dns"
	"k8s.io/apimachinery/pkg/labels"
)

// AppZone is the domain of the names that this server knows: <app>.app.test has the addresses of
// the ready pods labelled app=<app>. It stands for the DNS outside the cluster. Names of Services
// are not served: nothing here routes their virtual addresses.
const AppZone = ".app.test."

// serveDNS answers A queries over UDP until ctx ends.
func (k *Kubelet) serveDNS(ctx context.Context) {
	connection, err := net.ListenPacket("udp", net.JoinHostPort(NodeIP, "53"))
	if err != nil {
		log.Printf("dns: %v", err)
		return
	}
	server := &dns.Server{PacketConn: connection, Handler: dns.HandlerFunc(k.answer)}
	go func() { <-ctx.Done(); _ = server.Shutdown() }()
	if err := server.ActivateAndServe(); err != nil {
		log.Printf("dns: %v", err)
	}
}

func (k *Kubelet) answer(w dns.ResponseWriter, query *dns.Msg) {
	reply := new(dns.Msg)
	reply.SetReply(query)
	reply.Authoritative = true
	reply.Rcode = dns.RcodeNameError
	for _, question := range query.Question {
		for _, address := range k.resolve(question.Name) {
			reply.Rcode = dns.RcodeSuccess
			if question.Qtype == dns.TypeA {
				reply.Answer = append(reply.Answer, &dns.A{
					Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 5},
					A:   net.ParseIP(address),
				})
			}
		}
	}
	if err := w.WriteMsg(reply); err != nil {
		log.Printf("dns: %v", err)
	}
}

func (k *Kubelet) resolve(name string) []string {
	app, found := strings.CutSuffix(strings.ToLower(name), AppZone)
	if !found || strings.Contains(app, ".") {
		return nil
	}
	return k.readyAddresses("", labels.SelectorFromSet(labels.Set{"app": app}))
}
