package downstream

// Served returns how many requests were served here, and how many connections
// were given away.
func (s *Server) Served() (here, given int64) { return s.served.Load(), s.handedOver.Load() }
