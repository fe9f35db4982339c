// Writes tests/dashboards/grafana-schema.json: `npm ci && npm run generate`.
import { readFileSync, writeFileSync } from "node:fs";
import { createGenerator } from "ts-json-schema-generator";

const OUT = new URL("../../tests/dashboards/grafana-schema.json", import.meta.url);
const { version } = JSON.parse(readFileSync(new URL("node_modules/@grafana/schema/package.json", import.meta.url)));

const { definitions, ...schema } = createGenerator({
  path: "dashboard.ts",
  tsconfig: "tsconfig.json",
  type: "Dashboard",
  // So that it reads `@discriminator`: a mistake is then reported where it is, not as "no panel fits".
  jsDoc: "extended",
  additionalProperties: false,
}).createSchema("Dashboard");

// What says nothing about a file: the words about a type, and its defaults.
const WORDS = ["default", "deprecated", "description", "title"];

// Sorted, so that an update shows what it changes. Of names that stand for themselves, in `properties` and
// `definitions`, none is left out but those of the type unknown: callbacks, which JSON cannot hold.
function tidy(value, names = false) {
  if (Array.isArray(value)) {
    return value.map((item) => tidy(item));
  }
  if (value === null || typeof value !== "object") {
    return value;
  }
  const entries = Object.entries(value)
    .map(([key, inner]) => [key, tidy(inner, !names && (key === "properties" || key === "definitions"))])
    .filter(([key, inner]) => (names ? Object.keys(inner).length > 0 : !WORDS.includes(key)))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries);
}

const comment = `Written by scripts/grafana-schema out of @grafana/schema ${version} (Apache-2.0, Grafana Labs).`;
const text = JSON.stringify({ $comment: comment, ...tidy(schema), definitions: tidy(definitions, true) }, null, 2);
writeFileSync(OUT, `${text}\n`);
