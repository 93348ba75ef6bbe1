PRAGMA page_size = 65536;
PRAGMA journal_mode = WAL;
CREATE TABLE other(a);
CREATE TABLE t(a INTEGER PRIMARY KEY, b);
INSERT INTO t(b) VALUES ('a'), (hex(zeroblob(30000))), ('b');
DROP TABLE other;
