import com.fluenda.parcefone.event.CommonEvent;
import com.github.jcustenborder.cef.CEFParserFactory;
import com.github.jcustenborder.cef.Message;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Function;

/**
 * Reads a CEF message a line from standard input and writes a JSON object a line: {"header": {…}, "extension": {…}}, or
 * {"error": "…"} where the library refuses the message. The argument says which library: graylog or parcefone.
 */
public final class Readers {
    public static void main(String[] arguments) throws Exception {
        Function<String, String> reader = arguments[0].equals("graylog") ? Readers::graylog : Readers::parcefone;
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String answer;
            try {
                answer = reader.apply(line);
            } catch (RuntimeException error) {
                answer = object(Map.of("error", String.valueOf(error)));
            }
            out.print(answer + "\n");
        }
        out.flush();
    }

    private static String graylog(String line) {
        Message read = CEFParserFactory.create().parse(line);
        var header = new LinkedHashMap<String, Object>();
        header.put("vendor", read.deviceVendor());
        header.put("product", read.deviceProduct());
        header.put("version", read.deviceVersion());
        header.put("class_id", read.deviceEventClassId());
        header.put("name", read.name());
        header.put("severity", read.severity());
        return both(header, read.extensions());
    }

    private static String parcefone(String line) {
        try {
            CommonEvent read = new com.fluenda.parcefone.parser.CEFParser().parse(line, false, true, java.util.Locale.ROOT);
            if (read == null) {
                return object(Map.of("error", "refused"));
            }
            Map<String, Object> theirs = read.getHeader();
            var header = new LinkedHashMap<String, Object>();
            header.put("vendor", theirs.get("deviceVendor"));
            header.put("product", theirs.get("deviceProduct"));
            header.put("version", theirs.get("deviceVersion"));
            header.put("class_id", theirs.get("deviceEventClassId"));
            header.put("name", theirs.get("name"));
            header.put("severity", theirs.get("severity"));
            return both(header, read.getExtension(true, true));
        } catch (com.fluenda.parcefone.event.CEFHandlingException error) {
            throw new IllegalStateException(error);
        }
    }

    private static String both(Map<String, ?> header, Map<String, ?> extension) {
        return "{\"header\":" + object(header) + ",\"extension\":" + object(extension == null ? Map.of() : extension) + "}";
    }

    private static String object(Map<String, ?> fields) {
        var out = new StringBuilder("{");
        for (Map.Entry<String, ?> field : fields.entrySet()) {
            out.append(out.length() == 1 ? "" : ",").append(text(field.getKey())).append(':').append(value(field.getValue()));
        }
        return out.append('}').toString();
    }

    private static String value(Object value) {
        if (value == null) {
            return "null";
        }
        if (value instanceof java.util.Date date) {
            return text(String.valueOf(date.getTime()));
        }
        return text(value instanceof java.net.InetAddress address ? address.getHostAddress() : value.toString());
    }

    private static String text(String text) {
        var out = new StringBuilder("\"");
        for (char each : text.toCharArray()) {
            out.append(each < ' ' || each == '"' || each == '\\' || each > '~' ? String.format("\\u%04x", (int) each) : each);
        }
        return out.append('"').toString();
    }
}
