package sandbox

import "go.mau.fi/libsignal/logger"

// discard is a libsignal logger that drops everything: the default one prints session state, key material included,
// on standard output, and sets itself up lazily in a way that races.
type discard struct{}

func (discard) Debug(string, string)   {}
func (discard) Info(string, string)    {}
func (discard) Warning(string, string) {}
func (discard) Error(string, string)   {}
func (discard) Configure(string)       {}

func init() {
	var quiet logger.Loggable = discard{}
	logger.Setup(&quiet)
}
