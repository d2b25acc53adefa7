// A tool loop of two turns, streamed: node loop.mjs <openai|chat|anthropic> <base URL> <key> <model>
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const [, , kind, baseURL, apiKey, name] = process.argv;
const openai = createOpenAI({ baseURL, apiKey });
const model = { openai, chat: openai.chat, anthropic: createAnthropic({ baseURL, apiKey }) }[kind](name);
const get_weather = tool({
  description: "The weather at a place",
  inputSchema: z.object({ location: z.string() }),
  execute: async ({ location }) => `rain in ${location}`,
});
const failures = [];
const result = streamText({
  model,
  prompt: "Please use get_weather",
  tools: { get_weather },
  stopWhen: stepCountIs(3),
  maxRetries: 0,
  onError: ({ error }) => failures.push(String(error)),
});
let said = "";
for await (const piece of result.textStream) said += piece;
console.log(JSON.stringify({ said, failures }));
