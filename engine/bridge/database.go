package bridge

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"go.mau.fi/util/dbutil"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/store/sqlstore/upgrades"
	waLog "go.mau.fi/whatsmeow/util/log"
)

const (
	schema         = "whatsmeow"
	connections    = 16               // all kept while there is traffic: half of them made 100 accounts a third slower
	idleTime       = 30 * time.Second // PostgreSQL has 2 to 6 MB for each
	connectTimeout = 5 * time.Second
	databasePause  = 250 * time.Millisecond
	undefinedTable = "42P01"
)

// errWorkerGone: the worker's row was removed, so its accounts belong to others now. What this process still holds in
// memory is older than what they write.
var errWorkerGone = errors.New("the worker that owns this engine is gone")

// errReadOnly: the database takes no writes. Its disk may be full, or another server is the first one now.
var errReadOnly = errors.New("the database takes no writes")

// database is the pool that all accounts share, and whatsmeow's tables in it.
type database struct {
	sql       *sql.DB
	queries   *dbutil.Database
	container *sqlstore.Container

	plaintexts plaintexts
	writes     writes
}

// openDatabase connects to a migrated database.
func openDatabase(ctx context.Context, url, worker string, log waLog.Logger) (*database, error) {
	config, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["application_name"] = applicationName(worker)
	pool := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(fenceConnections(worker)), stdlib.OptionResetSession(takesWrites))
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	pool.SetConnMaxIdleTime(idleTime)
	db, err := wrap(pool, log)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	if _, err := pool.ExecContext(ctx, "SELECT FROM chatwren_lid_map LIMIT 0"); err != nil { // which is made last
		var problem *pgconn.PgError
		if errors.As(err, &problem) && problem.Code == undefinedTable {
			err = errors.New("the database is not migrated: run `chatwren-engine migrate`")
		}
		return nil, errors.Join(err, pool.Close())
	}
	return db, nil
}

// Migrate makes or updates whatsmeow's tables in their schema, and the one that stands beside them. Two at a time wait for each other.
func Migrate(ctx context.Context, url string) error {
	config, err := parseURL(url)
	if err != nil {
		return err
	}
	config.RuntimeParams["application_name"] = "chatwren-engine migrate"
	pool := stdlib.OpenDB(*config)
	defer pool.Close()
	lock, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	// A session's lock: whatsmeow's upgrade runs on a connection of its own.
	if _, err := lock.ExecContext(ctx, "SELECT pg_advisory_lock(hashtext('chatwren-engine migrate'))"); err != nil {
		return err
	}
	if _, err := lock.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+schema); err != nil {
		return err
	}
	db, err := wrap(pool, waLog.Noop)
	if err != nil {
		return err
	}
	if err := db.container.Upgrade(ctx); err != nil {
		return err
	}
	return migrateLIDMap(ctx, pool)
}

func parseURL(url string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("DATABASE_URL is not a PostgreSQL URL") // the cause may quote the password
	}
	config.RuntimeParams["search_path"] = schema
	config.ConnectTimeout = connectTimeout
	return config, nil
}

func wrap(pool *sql.DB, log waLog.Logger) (*database, error) {
	queries, err := dbutil.NewWithDB(pool, "pgx")
	if err != nil {
		return nil, err
	}
	queries.UpgradeTable = upgrades.Table
	queries.VersionTable = "whatsmeow_version"
	return &database{
		sql:        pool,
		queries:    queries,
		container:  sqlstore.NewWithWrappedDB(queries, log),
		plaintexts: plaintexts{stored: make(map[bufferedKey]struct{})},
	}, nil
}

func (d *database) close() { _ = d.sql.Close() }

// applicationName is how the engine's sessions are found by whoever takes over from its worker and ends them.
func applicationName(worker string) string { return "chatwren-engine " + worker }

// fenceConnections refuses new connections once the worker's row is gone. Its sessions were ended then, so that an
// engine which was frozen meanwhile can write nothing when it wakes up.
func fenceConnections(worker string) func(context.Context, *pgx.Conn) error {
	id, err := uuid.Parse(worker)
	return func(ctx context.Context, conn *pgx.Conn) error {
		if err != nil {
			return nil // not a worker of a cluster
		}
		var alive bool
		failure := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM public.worker WHERE id = $1)", id).Scan(&alive)
		var problem *pgconn.PgError
		switch {
		case errors.As(failure, &problem) && problem.Code == undefinedTable:
			return nil // a database that holds whatsmeow's tables alone
		case failure != nil:
			return fmt.Errorf("worker's row: %w", failure)
		case !alive:
			return errWorkerGone
		}
		return nil
	}
}

// takesWrites has a connection replaced that takes none, as the server has told it: such a session stays read-only when
// its server is not any more, and when another server takes the writes now.
func takesWrites(_ context.Context, conn *pgx.Conn) error {
	for _, setting := range []string{"default_transaction_read_only", "in_hot_standby"} {
		if conn.PgConn().ParameterStatus(setting) == "on" {
			return driver.ErrBadConn
		}
	}
	return nil
}

// reach tells why nothing can be stored now: the database does not answer, or takes no writes.
func (d *database) reach(ctx context.Context) error {
	var readOnly string
	if err := d.sql.QueryRowContext(ctx, "SHOW transaction_read_only").Scan(&readOnly); err != nil {
		return err
	}
	if readOnly == "on" {
		return errReadOnly
	}
	return nil
}

// await returns once the database takes writes, false if ctx ends before.
func (d *database) await(ctx context.Context) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(databasePause):
		}
		ping, cancel := context.WithTimeout(ctx, connectTimeout)
		err := d.reach(ping)
		cancel()
		if err == nil {
			return ctx.Err() == nil
		}
	}
}
