"""The tables of a batch's journal."""

VERSION = "1"
META = "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
"""It has the version: the only table that is the same in all versions."""
TABLES = """
CREATE TABLE IF NOT EXISTS items (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  key TEXT NOT NULL UNIQUE,
  call INTEGER NOT NULL,
  row INTEGER NOT NULL,
  sample INTEGER NOT NULL,
  name TEXT NOT NULL,
  folded TEXT NOT NULL UNIQUE,
  prompt TEXT NOT NULL,
  negative TEXT NOT NULL,
  seed INTEGER,
  picture TEXT NOT NULL,
  picture_stat TEXT NOT NULL,
  picture_sha256 TEXT NOT NULL DEFAULT '',
  crop TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'planned',
  again TEXT NOT NULL DEFAULT '',
  tries INTEGER NOT NULL DEFAULT 0,
  request_id TEXT NOT NULL DEFAULT '',
  spec BLOB NOT NULL DEFAULT x'',
  job TEXT NOT NULL DEFAULT '',
  size INTEGER NOT NULL DEFAULT 0,
  message TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS items_of_call ON items (call, row, sample);
CREATE INDEX IF NOT EXISTS items_with_job ON items (id) WHERE job <> '';
CREATE TABLE IF NOT EXISTS names (stem TEXT PRIMARY KEY, number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS uploads (key TEXT PRIMARY KEY, asset TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS charges (job TEXT PRIMARY KEY, micros INTEGER NOT NULL, currency TEXT NOT NULL);
CREATE TEMP TABLE seen (digest TEXT PRIMARY KEY, number INTEGER NOT NULL);
CREATE TEMP TABLE faults (row INTEGER NOT NULL, message TEXT NOT NULL);
"""
