"""A PostgreSQL domain as the Go API server has it: with its types, defaults, functions and the tables around ours."""

import asyncpg

TABLES = """
CREATE TYPE thing_state AS ENUM ('active', 'inactive', 'passive', 'archived');
CREATE TYPE account_state AS ENUM ('active', 'inactive', 'archived');
CREATE TYPE policy_effect AS ENUM ('allow', 'deny');
CREATE TYPE policy_action AS ENUM ('create', 'read', 'update', 'delete');

CREATE TABLE users (
    uuid UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name TEXT UNIQUE NOT NULL,
    state account_state NOT NULL DEFAULT 'active'
);
CREATE TABLE user_tokens (
    uuid UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_uuid UUID NOT NULL REFERENCES users ON DELETE CASCADE,
    name TEXT NOT NULL,
    token_hash BYTEA NOT NULL,
    created TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE groups (uuid UUID PRIMARY KEY DEFAULT gen_random_uuid(), name TEXT UNIQUE NOT NULL);
CREATE TABLE user_groups (
    user_uuid UUID REFERENCES users ON DELETE CASCADE,
    group_uuid UUID REFERENCES groups ON DELETE CASCADE,
    PRIMARY KEY (user_uuid, group_uuid)
);
CREATE TABLE group_policies (
    uuid UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    group_uuid UUID NOT NULL REFERENCES groups ON DELETE CASCADE,
    priority INTEGER NOT NULL DEFAULT 0,
    effect policy_effect NOT NULL DEFAULT 'deny',
    action policy_action NOT NULL,
    resource TEXT NOT NULL,
    UNIQUE (group_uuid, priority, effect, action, resource)
);
CREATE INDEX group_policies_resource ON group_policies (resource text_pattern_ops);

CREATE TABLE things (
    uuid UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name TEXT NOT NULL,
    state thing_state NOT NULL DEFAULT 'inactive',
    created_by UUID REFERENCES users ON DELETE SET NULL,
    tags TEXT[] NOT NULL DEFAULT '{}'
);
CREATE TABLE timeseries (
    uuid UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    thing_uuid UUID REFERENCES things ON DELETE CASCADE,
    name TEXT NOT NULL,
    si_unit TEXT NOT NULL
);
CREATE TABLE tsdata (
    ts_uuid UUID NOT NULL REFERENCES timeseries ON DELETE CASCADE, value DOUBLE PRECISION, ts TIMESTAMPTZ
);
CREATE TABLE schema_migrations (version BIGINT PRIMARY KEY, dirty BOOLEAN NOT NULL);

CREATE TABLE programs (
    uuid UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name TEXT NOT NULL,
    type TEXT NOT NULL DEFAULT 'program',
    state TEXT NOT NULL DEFAULT 'inactive',
    schedule TEXT NOT NULL DEFAULT '0s',
    deadline INTEGER NOT NULL DEFAULT 1000,
    language TEXT NOT NULL DEFAULT 'tengo',
    tags TEXT[] NOT NULL DEFAULT '{}'
);
CREATE INDEX programs_tags ON programs USING GIN (tags) WITH (fastupdate = false);
CREATE TABLE program_code_revisions (
    program_uuid UUID NOT NULL REFERENCES programs ON DELETE CASCADE,
    revision INTEGER NOT NULL DEFAULT 0,
    created TIMESTAMPTZ NOT NULL DEFAULT now(),
    signed TIMESTAMPTZ,
    created_by UUID REFERENCES users ON DELETE SET NULL,
    signed_by UUID REFERENCES users ON DELETE SET NULL,
    code BYTEA,
    checksum BYTEA,
    PRIMARY KEY (program_uuid, revision)
);
"""

CONTENT = """
INSERT INTO users (uuid, name) VALUES ('00000000-0000-1000-8000-000000000000', 'root');
INSERT INTO user_tokens (user_uuid, name, token_hash)
    VALUES ('00000000-0000-1000-8000-000000000000', 'first', sha256('root'));
INSERT INTO groups (uuid, name) VALUES
    ('00000000-0000-1000-8000-000000000000', 'root'), ('00000000-0000-1000-8000-000000000001', 'things');
INSERT INTO user_groups VALUES ('00000000-0000-1000-8000-000000000000', '00000000-0000-1000-8000-000000000000');
INSERT INTO group_policies (group_uuid, effect, action, resource)
    SELECT '00000000-0000-1000-8000-000000000000', 'allow', unnest(enum_range(NULL::policy_action)), '%';
INSERT INTO group_policies (group_uuid, effect, action, resource)
    SELECT '00000000-0000-1000-8000-000000000001', 'allow', unnest(enum_range(NULL::policy_action)), 'things/%';
INSERT INTO things (name, created_by) VALUES ('boiler', '00000000-0000-1000-8000-000000000000');
INSERT INTO schema_migrations VALUES (13, false);
"""

CATALOGUE = """
SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
    SELECT concat_ws(' ', 'column', table_name, column_name, data_type, is_nullable, column_default) AS line
        FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT concat_ws(' ', 'index', indexdef) FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT concat_ws(' ', 'constraint', conrelid::regclass, pg_get_constraintdef(oid))
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(' ', 'trigger', tgname, tgrelid::regclass) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT concat_ws(' ', 'function', oid::regprocedure)
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(' ', 'type', typname) FROM pg_type WHERE typnamespace = 'public'::regnamespace
) AS lines
"""


async def make_selfhost_domain(url: str) -> None:
    """Make the tables of a Self-host domain in an empty PostgreSQL database, and its user `root` with token `root`."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(TABLES)
        await connection.execute(CONTENT)
    finally:
        await connection.close()


async def catalogue(connection: asyncpg.Connection) -> str:
    """Everything that is defined in the database, as text that can be compared."""
    defined: str = await connection.fetchval(CATALOGUE)
    return defined
