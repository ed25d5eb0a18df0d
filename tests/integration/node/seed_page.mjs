// Bundle a React component of a document into a page's script that shows it.
//
// Usage: seed_page.mjs SNIPPET COMPONENT. Prints the script. The component is not exported: the line that shows it
// stands behind the snippet, in the same module.
import { readFileSync } from "node:fs";
import { build } from "esbuild";

const [snippet, component] = process.argv.slice(2);
const show = `
import { createRoot } from "react-dom/client";
createRoot(document.getElementById("root")).render(<${component} />);
`;
const { outputFiles } = await build({
    stdin: { contents: readFileSync(snippet, "utf8") + show, loader: "jsx", resolveDir: import.meta.dirname },
    define: { "process.env.NODE_ENV": '"production"' },
    bundle: true,
    write: false,
});
process.stdout.write(outputFiles[0].text);
