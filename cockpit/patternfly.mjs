// Makes exile/patternfly.css: the rules of PatternFly that the page uses. Run it by hand after updating PatternFly or using a
// new component or class in the page. The result is checked in, so that neither building nor testing needs npm.
//
//   npm install --no-save --prefix DIR purgecss@8.0.0 @patternfly/patternfly@6.6.1
//   node cockpit/patternfly.mjs DIR/node_modules
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const modules = resolve(process.argv[2]);
const { PurgeCSS } = await import(pathToFileURL(createRequire(modules + "/").resolve("purgecss")).href);
const page = dirname(fileURLToPath(import.meta.url)) + "/exile";
const patternfly = modules + "/@patternfly/patternfly";

const COMPONENTS = ["Page/page", "Card/card", "Table/table", "Table/table-grid", "Button/button", "FormControl/form-control", "Alert/alert"];
const END = ".end-of-patternfly{--end:1}"; // our own rules follow it, so that the tokens that only they use are kept
const read = name => readFileSync(name, "utf8");
const css = ["patternfly-base.css", ...COMPONENTS.map(c => `components/${c}.css`)].map(f => read(`${patternfly}/${f}`)).join("\n")
        .replace(/@font-face\s*{[^}]*}/g, ""); // the page uses Cockpit's own font files
const [{ css: used }] = await new PurgeCSS().purge({
    content: [page + "/*.html", page + "/*.js"],
    css: [{ raw: css + END + read(page + "/exile.css") }],
    defaultExtractor: text => text.match(/[\w-]+/g) ?? [],
    safelist: ["html", "body", ":root", "pf-v6-theme-dark", "pf-m-danger", "pf-m-warning", "end-of-patternfly"],
    blocklist: [/pf-v6-theme-(felt|glass|high-contrast|redhat)/],
    variables: true,
    keyframes: true,
});
const { version } = JSON.parse(read(patternfly + "/package.json"));
writeFileSync(page + "/patternfly.css", `/*
PatternFly ${version}, npm @patternfly/patternfly, cut to what this page uses by cockpit/patternfly.mjs. Do not edit.

MIT License

Copyright (c) 2019 Red Hat, Inc.

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
*/
` + used.slice(0, used.indexOf(".end-of-patternfly")).replace(/\n{2,}/g, "\n").trimEnd() + "\n");
