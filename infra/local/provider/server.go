package provider

import (
	"fmt"
	"net"
	"net/http"
	"time"
)

// Server is a scripted provider that listens on the loopback interface.
type Server struct {
	URL string // http://127.0.0.1:port
	Provider
	http *http.Server
}

// Start starts a provider on a free port.
func Start() (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the scripted provider: %w", err)
	}
	s := &Server{URL: "http://" + l.Addr().String()}
	s.http = &http.Server{Handler: &s.Provider, ReadHeaderTimeout: 10 * time.Second}
	go s.http.Serve(l) // ends with Close
	return s, nil
}

// Close ends the provider and breaks off every answer that it still owes.
func (s *Server) Close() { _ = s.http.Close() }
