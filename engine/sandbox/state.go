package sandbox

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// record is one line of the journal. Exactly one member is set; each states a fact that replaces the earlier fact
// about the same thing.
type record struct {
	Phone     *phoneSettings   `json:"phone,omitempty"`
	Companion *companionRecord `json:"companion,omitempty"`
	Unlinked  *companionKey    `json:"unlinked,omitempty"`
	PreKeys   *preKeyUpload    `json:"preKeys,omitempty"`
	PreKey    *preKeyTaken     `json:"preKey,omitempty"`
	Group     *group           `json:"group,omitempty"`
	Patch     *storedPatch     `json:"patch,omitempty"`
}

// journal is the durable state: a file of records, one line of JSON each, only ever appended to. It is written anew,
// with what still counts, on start and when it has grown much beyond that. Without a directory it keeps nothing.
type journal struct {
	mu       sync.Mutex
	path     string
	lock     *os.File
	file     *os.File
	size     int64
	baseline int64
}

const (
	seedFile    = "seed"
	journalFile = "journal.jsonl"
	lockFile    = "lock"
	// journalSlack is how far the journal may grow, in bytes, beyond twice its size when it was last written anew.
	journalSlack = 16 << 20
)

// loadSeed reads the seed of a state directory, or makes one. Without a directory it is random.
func loadSeed(directory string) (*seed, error) {
	var s seed
	if directory == "" {
		_, err := rand.Read(s[:])
		return &s, err
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(directory, seedFile)
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if _, err = rand.Read(s[:]); err != nil {
			return nil, err
		}
		return &s, replaceFile(path, s[:])
	} else if err != nil {
		return nil, err
	}
	if len(content) != len(s) {
		return nil, fmt.Errorf("%s holds %d bytes instead of %d", path, len(content), len(s))
	}
	copy(s[:], content)
	return &s, nil
}

// replaceFile writes a file so that a reader sees the old content or the new, never a part.
func replaceFile(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// openJournal calls apply with each record, in order. A last line that a crash cut short is ignored. It holds the
// directory until the journal is closed, which the caller does in case of an error too.
func openJournal(directory string, apply func(record)) (*journal, error) {
	if directory == "" {
		return &journal{}, nil
	}
	j := &journal{path: filepath.Join(directory, journalFile)}
	lock, err := os.OpenFile(filepath.Join(directory, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	j.lock = lock
	if err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return j, fmt.Errorf("%s is in use by another sandbox", directory)
	}
	file, err := os.Open(j.path)
	if errors.Is(err, os.ErrNotExist) {
		return j, nil
	} else if err != nil {
		return j, err
	}
	defer file.Close()
	reader := bufio.NewReaderSize(file, 1<<16)
	for line := 1; ; line++ {
		text, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return j, nil
		} else if err != nil {
			return j, err
		}
		var r record
		if err = json.Unmarshal(text, &r); err != nil {
			return j, fmt.Errorf("%s, line %d: %w", j.path, line, err)
		}
		apply(r)
	}
}

// append adds a record. It reports whether the journal should be written anew.
func (j *journal) append(r record) (grown bool, err error) {
	if j.path == "" {
		return false, nil
	}
	line, err := json.Marshal(r)
	if err != nil {
		return false, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	written, err := j.file.Write(append(line, '\n'))
	if err != nil {
		// A partial line in the middle would make the journal unreadable: cut it off again.
		return false, errors.Join(err, j.file.Truncate(j.size))
	}
	j.size += int64(written)
	return j.size > 2*j.baseline+journalSlack, nil
}

// rewrite replaces the journal by these records.
func (j *journal) rewrite(records []record) error {
	if j.path == "" {
		return nil
	}
	var content bytes.Buffer
	encoder := json.NewEncoder(&content)
	for _, r := range records {
		if err := encoder.Encode(r); err != nil {
			return err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := replaceFile(j.path, content.Bytes()); err != nil {
		return err
	}
	file, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if j.file != nil {
		_ = j.file.Close()
	}
	j.file, j.size, j.baseline = file, int64(content.Len()), int64(content.Len())
	return nil
}

func (j *journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, file := range []*os.File{j.file, j.lock} {
		if file != nil {
			_ = file.Close()
		}
	}
}
