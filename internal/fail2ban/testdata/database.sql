CREATE TABLE jails(name TEXT NOT NULL UNIQUE, enabled INTEGER NOT NULL DEFAULT 1);
CREATE TABLE bans(jail TEXT NOT NULL, ip TEXT, timeofban INTEGER NOT NULL, bantime INTEGER NOT NULL, bancount INTEGER NOT NULL DEFAULT 1, data JSON,
	FOREIGN KEY(jail) REFERENCES jails(name));
CREATE TABLE bips(ip TEXT NOT NULL, jail TEXT NOT NULL, timeofban INTEGER NOT NULL, bantime INTEGER NOT NULL, bancount INTEGER NOT NULL DEFAULT 1,
	data JSON, PRIMARY KEY(ip, jail));
-- The test's clock says 1000000.
INSERT INTO bips VALUES
	('192.0.2.1', 'sshd', 999000, 3600, 3, '{"matches": []}'),
	('192.0.2.2', 'sshd', 900000, 3600, 1, NULL),
	('192.0.2.3', 'sshd', 1, -1, 1, NULL),
	('192.0.2.4', 'sshd', 1000500, 600, 1, NULL),
	('::ffff:192.0.2.5', 'sshd', 999999, 9999999999, 1, NULL),
	('2001:db8::1', 'sshd', 999990, 600, 2, NULL),
	('198.51.100.0/24', 'vsftpd', 999990, 600, 1, hex(zeroblob(9000))),
	('10.0.0.0/7', 'vsftpd', 999990, 600, 1, NULL),
	('203.0.113.5', 'vsftpd', 999990, 600, 1, NULL),
	('192.0.2.1', 'recidive', 999000, 604800, 1, NULL),
	('192.0.2.1', 'gone', 999000, 604800, 1, NULL),
	('192.0.2.9', 'gone', 1, 1, 1, NULL),
	('bob', 'sshd', 999000, 3600, 1, NULL),
	('192.0.2.8', 'sshd', 'x', 3600, 1, NULL),
	(x'1b5b33316d', 'ev' || char(27) || 'il', 999000, 3600, 1, NULL);
INSERT INTO bans SELECT jail, ip, timeofban, bantime, 1, data FROM bips;
INSERT INTO bans VALUES ('vsftpd', '198.51.100.0/24', 5, 600, 1, NULL), ('vsftpd', '198.51.100.0/24', 6, 600, 1, NULL), ('sshd', '192.0.2.77', 6, 600, 1, NULL);
