-- Runs once, when the volume is empty. The service logs in as the owner of its database, who is no superuser: CREATEROLE
-- lets it make the three roles it works with (docs/tenancy.md). The image has created the extension already.
\getenv password TIDEMARK_DB_PASSWORD
create role tidemark login createrole nosuperuser nocreatedb password :'password';
alter database tidemark owner to tidemark;
revoke connect on database tidemark from public;
