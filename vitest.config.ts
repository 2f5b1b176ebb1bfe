import { defineConfig } from "vitest/config";

/** Dependencies of the workspace are taken from their sources, here and in every process that a test starts. */
const conditions = ["sallyport-source", "node", "import", "default"];
const shared = {
  ssr: { resolve: { conditions, externalConditions: ["sallyport-source", "node", "import"] } },
} as const;

export default defineConfig({
  ...shared,
  test: {
    projects: [
      {
        ...shared,
        test: {
          name: "unit",
          include: ["packages/*/src/**/*.test.ts", "services/*/src/**/*.test.ts", "scripts/**/*.test.ts"],
          exclude: ["**/node_modules/**", "**/dist/**"],
          pool: "forks",
          execArgv: ["--conditions=sallyport-source"],
          testTimeout: 30_000,
          hookTimeout: 90_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        ...shared,
        test: {
          name: "e2e",
          include: ["test/**/*.test.ts"],
          exclude: ["**/node_modules/**", "**/dist/**", "test/fault/**"],
          pool: "forks",
          execArgv: ["--conditions=sallyport-source"],
          testTimeout: 120_000,
          hookTimeout: 180_000,
          // One constellation of seven processes at a time; a file that wants two starts two itself.
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        ...shared,
        test: {
          // What is killed, cut off, filled up and stopped on purpose: `npm run test:fault`.
          name: "fault",
          include: ["test/fault/**/*.test.ts"],
          exclude: ["**/node_modules/**", "**/dist/**"],
          pool: "forks",
          execArgv: ["--conditions=sallyport-source"],
          testTimeout: 90_000,
          hookTimeout: 90_000,
          // Deadlines are what these tests are about: nothing runs beside them.
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
