// A Slack app in Bolt for JavaScript, as its documentation has it. It answers what it is told and
// prints one JSON line for each thing it saw. Only the address of the Web API is not the usual one.

import bolt from "@slack/bolt";

const say = (seen, more = {}) => console.log(JSON.stringify({ seen, ...more }));

const app = new bolt.App({
  token: process.env.SLACK_BOT_TOKEN,
  appToken: process.env.SLACK_APP_TOKEN,
  socketMode: true,
  logLevel: bolt.LogLevel.ERROR,
  clientOptions: { slackApiUrl: process.env.SLACK_API_URL },
});

// Own messages and edits come as events too; Bolt leaves own ones out by itself.
app.message(async ({ message, client }) => {
  if (message.subtype !== undefined && message.subtype !== "file_share") {
    // Its own edits are told, too; only those of people are worth a line.
    if (message.message?.bot_id === undefined) say(message.subtype, { text: message.message?.text });
    return;
  }
  const files = message.files ?? [];
  const headers = { Authorization: `Bearer ${process.env.SLACK_BOT_TOKEN}` };
  const content = await Promise.all(
    files.map(async (file) => (await fetch(file.url_private_download, { headers })).text()),
  );
  say("message", { text: message.text, files: files.map((file) => file.name), content });
  const where = { channel: message.channel, thread_ts: message.ts };
  const { ts } = await client.chat.postMessage({ ...where, text: "thinking" });
  await client.chat.update({ channel: message.channel, ts, text: `you said: ${message.text}` });
  say("edited", { ts });
  const thread = await client.conversations.replies({ channel: message.channel, ts: message.ts });
  say("thread", { texts: thread.messages.map((each) => each.text) });
  await client.filesUploadV2({
    channel_id: message.channel,
    thread_ts: message.ts,
    filename: "answer.txt",
    file: Buffer.from("the whole answer"),
    initial_comment: "all of it",
  });
  say("uploaded");
  await client.chat.postMessage({
    ...where,
    text: "more?",
    blocks: [
      { type: "section", text: { type: "mrkdwn", text: "more?" } },
      {
        type: "actions",
        elements: [
          { type: "button", action_id: "more", text: { type: "plain_text", text: "More" } },
        ],
      },
    ],
  });
  await client.reactions.add({ channel: message.channel, timestamp: message.ts, name: "eyes" });
  say("reacted");
});

app.event("app_mention", async ({ event }) => say("app_mention", { text: event.text }));

app.event("reaction_added", async ({ event }) =>
  say("reaction_added", { reaction: event.reaction }),
);

app.action("more", async ({ ack, respond, body }) => {
  await ack();
  await respond({ text: "no more", replace_original: true });
  say("pressed", { user: body.user.name });
});

// A picture is uploaded into no channel; the message that names it is refused until Slack has looked
// at it.
app.message("draw", async ({ message, client }) => {
  const uploaded = await client.filesUploadV2({ filename: "cat.png", file: Buffer.from("a cat") });
  const id = uploaded.files[0].files[0].id;
  const picture = { type: "image", slack_file: { id }, alt_text: "a cat" };
  const button = { type: "button", action_id: "edit", text: { type: "plain_text", text: "Edit" } };
  const drawn = {
    channel: message.channel,
    thread_ts: message.ts,
    text: "a cat",
    blocks: [picture, { type: "actions", elements: [button] }],
  };
  for (let tries = 1; ; tries += 1) {
    try {
      await client.chat.postMessage(drawn);
      say("drawn", { tries });
      return;
    } catch (error) {
      if (error.data?.error !== "invalid_blocks" || tries > 3) throw error;
    }
  }
});

app.action("edit", async ({ ack, body, client }) => {
  await ack();
  const element = { type: "plain_text_input", action_id: "words", initial_value: "a cat" };
  const label = { type: "plain_text", text: "Prompt" };
  await client.views.open({
    trigger_id: body.trigger_id,
    view: {
      type: "modal",
      callback_id: "edit",
      title: { type: "plain_text", text: "Edit" },
      submit: { type: "plain_text", text: "Draw" },
      private_metadata: body.message.ts,
      blocks: [{ type: "input", block_id: "prompt", label, element }],
    },
  });
  say("opened");
});

app.view("edit", async ({ ack, view }) => {
  await ack();
  say("submitted", {
    about: view.private_metadata,
    text: view.state.values.prompt.words.value,
  });
});

app.command("/ask", async ({ ack, command, respond }) => {
  await ack();
  await respond(`asked: ${command.text}`);
  say("command", { text: command.text });
});

app.error(async (error) => say("error", { message: String(error) }));

const { user_id: user } = await app.client.auth.test();
say("login", { user });
await app.start();
say("connected");

// It lives as long as whoever started it wants to hear from it.
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
