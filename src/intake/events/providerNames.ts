/**
 * Who answers a call of a model: by the name that OpenTelemetry has for it (the values of gen_ai.provider.name, as of
 * @opentelemetry/semantic-conventions 1.45.0), the other names by which emitters know it, in small letters. What is not here keeps
 * its name.
 */
export const OTHER_NAMES: Readonly<Record<string, readonly string[]>> = {
  'aws.bedrock': ['amazon-bedrock', 'aws', 'aws_bedrock', 'bedrock'],
  'azure.ai.inference': ['az.ai.inference', 'azure_ai'],
  'azure.ai.openai': ['az.ai.openai', 'azure', 'azure-openai', 'azure_openai'],
  'gcp.gemini': ['gemini', 'google.generative-ai', 'google_genai'],
  'gcp.gen_ai': ['google'], // one of the other two: nobody says which
  'gcp.vertex_ai': ['google.vertex', 'vertex_ai', 'vertexai'],
  'ibm.watsonx.ai': ['watsonx'],
  mistral_ai: ['mistral', 'mistralai'],
  x_ai: ['xai'],
};

/** OpenTelemetry's names of which there are others. */
export const PROVIDER_NAMES: readonly string[] = Object.keys(OTHER_NAMES);

const NAMES = new Map(
  Object.entries(OTHER_NAMES).flatMap(([name, others]) => others.map((other) => [other, name])),
);

/** OpenTelemetry's name; the same where none is known. @param name in small letters. */
export function providerNameOf(name: string): string {
  return NAMES.get(name) ?? name;
}
