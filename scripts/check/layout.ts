/**
 * The layout that ARCHITECTURE.md promises:
 *
 * 1. Every service has the same inside. What one has beyond the others is named in its README.
 * 2. Every workspace is tagged for the boundaries gate and built by the root project, and `tsc -b` sees it.
 * 3. Versions are exact.
 */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type Gate, root } from "./gate.ts";

const requiredFiles = ["main.ts", "config.ts", "service.ts", "errors.ts", "events.ts"];
const commonFolders = ["rpc", "subjects", "domain", "store"];
const maxMainLines = 30;
const exactVersion = /^\d+\.\d+\.\d+(?:-[\w.]+)?$/;

interface PackageFile {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

export const layout: Gate = {
  name: "layout",
  unit: "workspaces",
  run: () => {
    const services = foldersIn("services");
    const workspaces = [...foldersIn("packages"), ...services, "test"];
    const findings = [
      ...services.flatMap(serviceFindings),
      ...workspaces.flatMap(workspaceFindings),
      ...[".", ...workspaces].flatMap(versionFindings),
    ];
    const looked = workspaces.length;
    return Promise.resolve(
      findings.length === 0
        ? { kind: "passed", looked }
        : { kind: "failed", looked, findings: findings.map((finding) => `  ${finding}`).join("\n") },
    );
  },
};

function foldersIn(folder: string): readonly string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(root, folder, entry.name, "package.json")))
    .map((entry) => `${folder}/${entry.name}`);
}

function serviceFindings(service: string): readonly string[] {
  const source = join(root, service, "src");
  const readme = textOf(`${service}/README.md`);
  const entries = readdirSync(source, { withFileTypes: true }).filter(
    ({ name }) => !/\.test(?:-support)?\.ts$/.test(name),
  );
  const findings = requiredFiles
    .filter((file) => !existsSync(join(source, file)))
    .map((file) => `${service}/src/${file} is missing`);
  if (readme === "") findings.push(`${service}/README.md is missing`);
  for (const entry of entries) {
    const common = entry.isDirectory() ? commonFolders : requiredFiles;
    const named = readme.includes(`\`${entry.name}${entry.isDirectory() ? "/" : ""}\``);
    const known = common.includes(entry.name) || named;
    if (!known) findings.push(`${service}/src/${entry.name} is not of the common layout, nor named in README.md`);
  }
  const mainLines = textOf(`${service}/src/main.ts`).split("\n").length - 1;
  if (mainLines > maxMainLines)
    findings.push(`${service}/src/main.ts has ${mainLines} lines, more than ${maxMainLines}`);
  return findings;
}

function workspaceFindings(workspace: string): readonly string[] {
  const findings: string[] = [];
  if (!textOf(`${workspace}/turbo.json`).includes('"tags"')) findings.push(`${workspace}/turbo.json has no tags`);
  if (!textOf("tsconfig.json").includes(`"${workspace}"`)) findings.push(`tsconfig.json does not build ${workspace}`);
  return findings;
}

function versionFindings(workspace: string): readonly string[] {
  const file: PackageFile = JSON.parse(textOf(`${workspace}/package.json`));
  return [file.dependencies, file.devDependencies, file.optionalDependencies]
    .flatMap((dependencies) => Object.entries(dependencies ?? {}))
    .filter(([, version]) => !exactVersion.test(version))
    .map(([name, version]) => `${workspace}/package.json: ${name}@${version} is not an exact version`);
}

function textOf(path: string): string {
  return existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8") : "";
}
