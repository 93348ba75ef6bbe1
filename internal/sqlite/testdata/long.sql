CREATE TABLE t(a TEXT, b TEXT, c INTEGER);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
INSERT INTO t SELECT hex(zeroblob(i * 137)), hex(zeroblob(i * i)), i FROM n;
