import { defineConfig } from "vitest/config";

export default defineConfig({
  ssr: { resolve: { conditions: ["source", "node", "import", "default"], externalConditions: ["source", "node", "import"] } },
  test: {
    include: ["packages/*/src/**/*.test.ts", "services/*/src/**/*.test.ts", "test/**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/dist/**"],
    pool: "forks",
    execArgv: ["--conditions=source"],
    testTimeout: 30_000,
    hookTimeout: 90_000,
  },
});
