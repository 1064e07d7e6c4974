// DuckDB's COPY for bench/export: peer_duckdb.js load DATABASE CSV TYPES-JSON | copy DATABASE FORMAT OUTPUT
// `load` makes the table `rows` of a CSV file; TYPES-JSON is {"column": "VARCHAR", ...}. `copy` writes the table as csv or json
// and prints the seconds the statement took, without the start of Node and the opening of the database, and the most memory
// the process had, in KiB.
const {DuckDBInstance} = require(`${process.env.EXPORT_WORKER_NODE_MODULES}/@duckdb/node-api`);

const quoted = text => `'${text.replaceAll("'", "''")}'`;

async function main([step, database, ...rest]) {
    const instance = await DuckDBInstance.create(database);
    const connection = await instance.connect();
    if (step === 'load') {
        const [csv, types] = rest;
        const columns = Object.entries(JSON.parse(types)).map(([name, type]) => `${quoted(name)}: ${quoted(type)}`).join(', ');
        await connection.run(`CREATE TABLE rows AS SELECT * FROM read_csv(${quoted(csv)}, header = true, columns = {${columns}})`);
        await connection.run('CHECKPOINT');
    } else {
        const [format, output] = rest;
        const options = format === 'csv' ? 'FORMAT csv, HEADER true' : 'FORMAT json';
        const begun = process.hrtime.bigint();
        await connection.run(`COPY rows TO ${quoted(output)} (${options})`);
        const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
        console.log(JSON.stringify({seconds, peak_kib: process.resourceUsage().maxRSS}));
    }
    connection.closeSync();
    instance.closeSync();
}

main(process.argv.slice(2)).catch(error => {
    console.error(error.message);
    process.exit(1);
});
