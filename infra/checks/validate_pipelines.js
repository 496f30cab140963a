// Validates pipeline files with Azure Pipelines' own language service, offline.
//
//   node validate_pipelines.js < request.json
//
// In: {"schema": …, "files": [{"path": …, "text": …}]}. Out: [{"path": …, "line": from 1, "message": …}], one for each problem.
'use strict';

const fs = require('fs');
const { getLanguageService, TextDocument } = require('azure-pipelines-language-service');
const { parse } = require('azure-pipelines-language-service/lib/parser/yamlParser');

const SCHEMA_URI = 'file:///schema.json';

// The service logs to stdout, which is for the answer.
console.log = console.error;

// Tasks that the schema lacks: SonarQube's come with an extension, the others are newer than its list of inputs. From
// their reference pages, learn.microsoft.com/azure/devops/pipelines/tasks/reference.
const MORE_TASKS = require('./more_tasks.json');

function withMoreTasks(schema) {
  const task = schema.definitions.task;
  for (const [name, { inputs, required }] of Object.entries(MORE_TASKS)) {
    task.properties.task.anyOf.push({ enum: [name] });
    task.anyOf.push({
      properties: {
        task: { pattern: `^${name}$` },
        inputs: { type: 'object', properties: inputs, additionalProperties: false, required },
      },
      required: required.length > 0 ? ['task', 'inputs'] : ['task'],
      firstProperty: ['task'],
    });
  }
  return schema;
}

// The schema wants names without expressions in them, though Azure fills those in before it looks.
function withPlainNames(content) {
  const name = /^(\s*(?:- (?:stage|job|deployment)|name): .*)$/;
  return content
    .split('\n')
    .map((line) => (name.test(line) ? line.replace(/\$\{\{[^}]*\}\}/g, 'x') : line))
    .join('\n');
}

async function main() {
  const request = JSON.parse(fs.readFileSync(0, 'utf8'));
  const schema = withMoreTasks(request.schema);
  const service = getLanguageService(
    async () => schema,
    [],
    async () => SCHEMA_URI,
    { resolveRelativePath: (relative) => relative },
  );
  service.configure({ validate: true, schemas: [{ uri: SCHEMA_URI, fileMatch: ['*'], schema }] });
  const problems = [];
  for (const { path, text: content } of request.files) {
    const document = TextDocument.create(`file:///${path}`, 'azure-pipelines', 1, withPlainNames(content));
    for (const { range, message } of await service.doValidation(document, parse(document.getText()))) {
      problems.push({ path, line: range.start.line + 1, message });
    }
  }
  process.stdout.write(JSON.stringify(problems));
}

main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
