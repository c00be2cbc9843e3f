// PostGraphile 5 over the benchmark's database: its own schema, made of the tables.
import { createServer } from "node:http";
import { postgraphile } from "postgraphile";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";

const [host, database, user, company, role, poolSize] = process.argv.slice(2);
const preset = {
  extends: [PostGraphileAmberPreset],
  // it leaves out relations whose foreign key has no index of its own
  disablePlugins: ["PgIndexBehaviorsPlugin"],
  pgServices: [
    makePgService({
      poolConfig: {
        host,
        database,
        user,
        max: Number(poolSize),
        options: `-c role=${role} -c app.company_id=${company} -c app.partner_id= -c jit=off -c timezone=UTC`,
      },
      schemas: ["public", "bench"],
    }),
  ],
  grafserv: { graphiql: false, watch: false, graphqlPath: "/graphql" },
  grafast: { explain: false },
};
const server = createServer();
const pgl = postgraphile(preset);
const serv = pgl.createServ(grafserv);
await serv.addTo(server);
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.on("SIGTERM", () => process.exit(0));
