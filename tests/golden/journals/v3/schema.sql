PRAGMA application_id = 1986949228;
PRAGMA user_version = 3;
CREATE TABLE compensation_totals (
        step TEXT NOT NULL,
        result TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (step, result)
    ) WITHOUT ROWID;
CREATE TABLE duration_totals (
        operation TEXT NOT NULL,
        phase TEXT NOT NULL,
        bound REAL NOT NULL,
        count INTEGER NOT NULL,
        sum REAL NOT NULL,
        PRIMARY KEY (operation, phase, bound)
    ) WITHOUT ROWID;
CREATE TABLE holdings (
        address TEXT PRIMARY KEY,
        uri TEXT NOT NULL,
        domain_uuid TEXT NOT NULL,
        domain_name TEXT NOT NULL,
        domain_id INTEGER NOT NULL,
        alias TEXT NOT NULL,
        mac TEXT NOT NULL,
        managed INTEGER NOT NULL,
        network TEXT NOT NULL,
        port TEXT NOT NULL,
        operation_id TEXT NOT NULL,
        snapshot TEXT NOT NULL,
        settings TEXT NOT NULL,
        quarantine TEXT NOT NULL,
        since REAL NOT NULL
    ) WITHOUT ROWID;
CREATE TABLE host_settings (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID;
CREATE TABLE nics (
        uri TEXT NOT NULL,
        domain_uuid TEXT NOT NULL,
        alias TEXT NOT NULL,
        domain_name TEXT NOT NULL,
        mac TEXT NOT NULL,
        type TEXT NOT NULL,
        source TEXT NOT NULL,
        model TEXT NOT NULL,
        target TEXT NOT NULL,
        portid TEXT NOT NULL,
        network TEXT NOT NULL,
        frontend TEXT NOT NULL,
        backend TEXT NOT NULL,
        operation_id TEXT NOT NULL,
        since REAL NOT NULL,
        PRIMARY KEY (uri, domain_uuid, alias)
    ) WITHOUT ROWID;
CREATE TABLE operation_totals (
        operation TEXT NOT NULL,
        device_type TEXT NOT NULL,
        result TEXT NOT NULL,
        reason TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (operation, device_type, result, reason)
    ) WITHOUT ROWID;
CREATE TABLE operations (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        operation TEXT NOT NULL,
        uri TEXT NOT NULL,
        domain_uuid TEXT NOT NULL,
        domain_name TEXT NOT NULL,
        domain_id INTEGER NOT NULL,
        scope TEXT NOT NULL,
        device_type TEXT NOT NULL,
        request TEXT NOT NULL,
        state TEXT NOT NULL,
        result TEXT NOT NULL,
        reason TEXT NOT NULL,
        error TEXT NOT NULL,
        owner TEXT NOT NULL,
        started REAL NOT NULL,
        ended REAL
    );
CREATE TABLE steps (
        operation_id TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
        seq INTEGER NOT NULL,
        name TEXT NOT NULL,
        nic TEXT NOT NULL,
        phase TEXT NOT NULL,
        half TEXT,
        state TEXT NOT NULL,
        started REAL,
        seconds REAL,
        detail TEXT NOT NULL,
        PRIMARY KEY (operation_id, seq)
    ) WITHOUT ROWID;
CREATE INDEX operations_open ON operations (uri, domain_uuid) WHERE ended IS NULL;
CREATE INDEX operations_ended ON operations (ended) WHERE ended IS NOT NULL;
CREATE INDEX operations_started ON operations (started);
